import type { JsonObject } from "./json.ts";

/** One entry of `details.causes`. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

interface StatusFacts {
  readonly code: number;
  /** "" for errors without a reason. */
  readonly reason: string;
  readonly message: string;
  readonly details?: JsonObject;
  readonly retryAfterSeconds?: number;
}

/**
 * A refused request as the metav1.Status that the client gets. Thrown anywhere below the request's pipeline and
 * answered in one place; it never leaves this folder.
 */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: JsonObject | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(facts: StatusFacts) {
    super(facts.message);
    this.name = "StatusError";
    this.code = facts.code;
    this.reason = facts.reason;
    this.details = facts.details;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }

  /** The body; field order as apimachinery prints it. */
  body(): JsonObject {
    const retry = this.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: this.retryAfterSeconds };
    const details =
      this.details === undefined && this.retryAfterSeconds === undefined
        ? {}
        : { details: { ...this.details, ...retry } };
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      ...(this.reason === "" ? {} : { reason: this.reason }),
      ...details,
      code: this.code,
    };
  }
}

/** What an error is about: the resource (plural) and its group. */
export interface Subject {
  readonly group: string;
  readonly resource: string;
}

const about = ({ group, resource }: Subject, name: string): JsonObject => ({
  ...(name === "" ? {} : { name }),
  ...(group === "" ? {} : { group }),
  kind: resource,
});
const qualified = ({ group, resource }: Subject): string =>
  group === "" ? resource : `${resource}.${group}`;

export function notFound(subject: Subject, name: string): StatusError {
  const message = `${qualified(subject)} ${JSON.stringify(name)} not found`;
  return new StatusError({ code: 404, reason: "NotFound", message, details: about(subject, name) });
}

/** For paths that name nothing served. */
export function noSuchResource(): StatusError {
  const message = "the server could not find the requested resource";
  return new StatusError({ code: 404, reason: "NotFound", message, details: {} });
}

export function methodNotAllowed(): StatusError {
  const message = "the server does not allow this method on the requested resource";
  return new StatusError({ code: 405, reason: "MethodNotAllowed", message, details: {} });
}

export function alreadyExists(subject: Subject, name: string): StatusError {
  const message = `${qualified(subject)} ${JSON.stringify(name)} already exists`;
  return new StatusError({ code: 409, reason: "AlreadyExists", message, details: about(subject, name) });
}

export function conflict(subject: Subject, name: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(subject)} ${JSON.stringify(name)}: ${why}`;
  return new StatusError({ code: 409, reason: "Conflict", message, details: about(subject, name) });
}

export const modifiedMeanwhile =
  "the object has been modified; please apply your changes to the latest version and try again";

export function badRequest(message: string): StatusError {
  return new StatusError({ code: 400, reason: "BadRequest", message });
}

export function forbidden(
  subject: Subject,
  name: string,
  why: string,
  causes: readonly Cause[] = [],
): StatusError {
  const message =
    name === ""
      ? `${qualified(subject)} is forbidden: ${why}`
      : `${qualified(subject)} ${JSON.stringify(name)} is forbidden: ${why}`;
  const details = { ...about(subject, name), ...(causes.length === 0 ? {} : { causes }) };
  return new StatusError({ code: 403, reason: "Forbidden", message, details });
}

export function unauthorized(): StatusError {
  return new StatusError({ code: 401, reason: "Unauthorized", message: "Unauthorized" });
}

export function expired(message: string, continueToken?: string): StatusError {
  const error = new StatusError({ code: 410, reason: "Expired", message });
  if (continueToken === undefined) return error;
  return new ExpiredPageError(message, continueToken);
}

/** 410 of a list page, with a token that goes on inconsistently from the same place. */
class ExpiredPageError extends StatusError {
  readonly #continueToken: string;

  constructor(message: string, continueToken: string) {
    super({ code: 410, reason: "Expired", message });
    this.#continueToken = continueToken;
  }

  override body(): JsonObject {
    return { ...super.body(), metadata: { continue: this.#continueToken } };
  }
}

export function tooLargeResourceVersion(asked: number, current: number): StatusError {
  const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
  const message = `Timeout: Too large resource version: ${asked}, current: ${current}`;
  return new StatusError({
    code: 504,
    reason: "Timeout",
    message,
    details: { causes },
    retryAfterSeconds: 1,
  });
}

export function internalError(message: string): StatusError {
  const details = { causes: [{ message }] };
  return new StatusError({
    code: 500,
    reason: "InternalError",
    message: `Internal error occurred: ${message}`,
    details,
  });
}

export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError({ code: 429, reason: "TooManyRequests", message, retryAfterSeconds });
}

export function timedOut(message: string): StatusError {
  return new StatusError({ code: 504, reason: "Timeout", message, details: {} });
}

export function unsupportedMediaType(message: string): StatusError {
  return new StatusError({ code: 415, reason: "UnsupportedMediaType", message });
}

export function invalid(kind: string, group: string, name: string, causes: readonly Cause[]): StatusError {
  const lines = causes.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const list = lines.length === 1 ? (lines[0] ?? "") : `[${lines.join(", ")}]`;
  const qualifiedKind = group === "" ? kind : `${kind}.${group}`;
  const details = {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    kind,
    ...(causes.length === 0 ? {} : { causes }),
  };
  return new StatusError({
    code: 422,
    reason: "Invalid",
    message: `${qualifiedKind} ${JSON.stringify(name)} is invalid: ${list}`,
    details,
  });
}
