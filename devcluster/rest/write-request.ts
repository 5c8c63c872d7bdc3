import { notSupported, required } from "../field-errors.ts";
import type { ResourceDefinition } from "../resource.ts";
import { type Cause, invalid, noSuchResource, type StatusError } from "../status-error.ts";
import { mediaTypeOf, parseBody, parseJson, parseYamlText, readBody } from "./body.ts";
import { createObject } from "./create.ts";
import { decodeObject, type FieldValidation } from "./decode.ts";
import { type Exchange, sendJson } from "./exchange.ts";
import { applyPatch, patchKindOf, patchObject } from "./patch.ts";
import { namespaceOf, type ResourceServer, sendObject } from "./resource-server.ts";
import { updateObject } from "./update.ts";
import type { WriteRequest } from "./write.ts";

/** What a write asks for, and its body. @throws StatusError 400, 413, 422 */
export async function writeRequestOf(
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<{ readonly write: WriteRequest; readonly bytes: Buffer }> {
  const { request, query, info, user, warnings, signal } = exchange;
  const dryRun = query.getAll("dryRun");
  const fieldValidation = query.get("fieldValidation") || "Warn";
  if (dryRun.some((each) => each !== "All"))
    throw badOption(info.verb, notSupported("dryRun", dryRun, ["All"]));
  if (!isFieldValidation(fieldValidation))
    throw badOption(info.verb, notSupported("fieldValidation", fieldValidation, ["", ...fieldValidations]));
  const write: WriteRequest = {
    definition,
    namespace: namespaceOf(exchange, definition),
    name: info.name,
    subresource: info.subresource,
    user,
    fieldManager: fieldManagerOf(exchange),
    fieldValidation,
    dryRun: dryRun.length > 0,
    warnings,
    signal,
  };
  return { write, bytes: await readBody(request) };
}

const optionKinds: Readonly<Record<string, string>> = {
  create: "CreateOptions",
  update: "UpdateOptions",
  patch: "PatchOptions",
};

function badOption(verb: string, cause: Cause): StatusError {
  return invalid(optionKinds[verb] ?? "Options", "meta.k8s.io", "", [cause]);
}

/** The parsed body. @throws StatusError 400, 415 */
export function bodyOf({ request }: Exchange, bytes: Buffer, schemaName: string): unknown {
  return parseBody(bytes, mediaTypeOf(request.headers["content-type"]), schemaName);
}

/** The parameter, else the program's name: what stands before the slash of its user agent. */
function fieldManagerOf({ query, request }: Exchange): string {
  const [program = ""] = (request.headers["user-agent"] ?? "").split("/");
  return query.get("fieldManager") || program.slice(0, 128) || "unknown";
}

const fieldValidations: readonly FieldValidation[] = ["Ignore", "Strict", "Warn"];

function isFieldValidation(text: string): text is FieldValidation {
  return fieldValidations.some((each) => each === text);
}

/** POST: a new object, or a review that is only answered. @throws StatusError */
export async function answerCreate(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, definition.schemaName);
  if (!definition.verbs.includes("get")) return answerReview(server, exchange, write, body);
  sendObject(server, exchange, definition, 201, await createObject(server.state, write, body));
}

function answerReview(
  { reviews }: ResourceServer,
  exchange: Exchange,
  write: WriteRequest,
  body: unknown,
): void {
  const review = decodeObject(write.definition, body, write.fieldValidation, write.warnings);
  const answer = reviews.answer(review, exchange.user);
  if (answer === undefined) throw noSuchResource();
  sendJson(exchange, 201, answer);
}

/** @throws StatusError */
export async function answerUpdate(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, definition.schemaName);
  sendObject(server, exchange, definition, 200, await updateObject(server.state, write, body));
}

/** The four kinds of patches, by content type. @throws StatusError */
export async function answerPatch(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const kind = patchKindOf(definition, mediaTypeOf(exchange.request.headers["content-type"]));
  const { write, bytes } = await writeRequestOf(exchange, definition);
  if (kind !== "apply") {
    return sendObject(
      server,
      exchange,
      definition,
      200,
      await patchObject(server.state, write, kind, parseJson(bytes)),
    );
  }
  if (!exchange.query.get("fieldManager"))
    throw invalid("PatchOptions", "meta.k8s.io", "", [
      required("fieldManager", "is required for apply patch"),
    ]);
  const force = exchange.query.get("force") === "true";
  const { object, created } = await applyPatch(server.state, write, parseYamlText(bytes), force);
  sendObject(server, exchange, definition, created ? 201 : 200, object);
}
