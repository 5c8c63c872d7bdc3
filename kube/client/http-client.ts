import type { Dispatcher } from "undici";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { Clock } from "#runtime/clock";
import { apiError, parseStatus } from "./api-error.ts";
import type {
  CallOptions,
  DeleteOptions,
  KubeClient,
  ListPage,
  ListQuery,
  ObjectName,
  Patch,
  RawOptions,
  ResourceKind,
  WatchEvent,
  WatchQuery,
  WriteOptions,
} from "./client.ts";
import { type Deadline, deadline } from "./deadline.ts";
import { jsonLines } from "./json-lines.ts";
import { parseListPage, parseObject, parseWatchEvent } from "./parse-answer.ts";
import type { RateLimiter } from "./rate-limit.ts";
import { collectionPath, listSearch, objectPath, watchSearch, writeSearch } from "./resource-path.ts";
import type { Transport } from "./transport.ts";

export interface HttpClientDeps {
  readonly transport: Transport;
  readonly limiter: RateLimiter;
  readonly clock: Clock;
  readonly random: () => number;
  readonly userAgent: string;
}

interface Call extends CallOptions {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly search?: string;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: unknown;
}

/** The API server ends requests after 60 s itself (`--request-timeout`); a bit more lets its answer through. */
const answerDeadlineMs = 65_000;
/** Heads of a watch are sent at once, so silence means a dead connection or server. */
const watchHeadDeadlineMs = 30_000;
/** No server should be able to park us for longer with one header. */
const retryAfterLimitSeconds = 60;

const json = "application/json";
const metadataObject = `${json};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${json}`;
const metadataList = `${json};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,${json}`;
const patchTypes: Readonly<Record<Patch["type"], string>> = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
  // JSON is YAML, and this type is known since 1.16.
  apply: "application/apply-patch+yaml",
};

/** The calls of `KubeClient` over one transport. */
export class HttpClient implements KubeClient {
  readonly #deps: HttpClientDeps;

  constructor(deps: HttpClientDeps) {
    this.#deps = deps;
  }

  async get(kind: ResourceKind, name: ObjectName, options: CallOptions): Promise<KubernetesObject> {
    return parseObject(await this.#json({ ...options, method: "GET", path: objectPath(kind, name) }));
  }

  async list(kind: ResourceKind, query: ListQuery, options: CallOptions): Promise<ListPage> {
    const path = collectionPath(kind, query.namespace);
    const accept = query.metadataOnly === true ? metadataList : json;
    const call: Call = { ...options, method: "GET", path, search: listSearch(query), accept };
    return parseListPage(await this.#json(call), path);
  }

  async create(
    kind: ResourceKind,
    object: KubernetesObject,
    options: WriteOptions,
  ): Promise<KubernetesObject> {
    const path =
      options.subresource === undefined
        ? collectionPath(kind, object.metadata?.namespace)
        : objectPath(kind, nameIn(object), options.subresource);
    return await this.#write("POST", path, json, object, options);
  }

  async update(
    kind: ResourceKind,
    object: KubernetesObject,
    options: WriteOptions,
  ): Promise<KubernetesObject> {
    return await this.#write(
      "PUT",
      objectPath(kind, nameIn(object), options.subresource),
      json,
      object,
      options,
    );
  }

  async patch(
    kind: ResourceKind,
    name: ObjectName,
    patch: Patch,
    options: WriteOptions,
  ): Promise<KubernetesObject> {
    const path = objectPath(kind, name, options.subresource);
    const force = patch.type === "apply" && patch.force;
    return await this.#write("PATCH", path, patchTypes[patch.type], patch.body, options, force);
  }

  async delete(kind: ResourceKind, name: ObjectName, options: DeleteOptions): Promise<void> {
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
      ...(options.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: options.gracePeriodSeconds }),
      ...(options.propagationPolicy === undefined ? {} : { propagationPolicy: options.propagationPolicy }),
    };
    await this.#json({ ...options, method: "DELETE", path: objectPath(kind, name), body, contentType: json });
  }

  async raw(method: "GET" | "POST", path: string, body: unknown, options: RawOptions): Promise<unknown> {
    const accept = options.accept === undefined ? {} : { accept: options.accept };
    return await this.#json({ ...options, ...accept, method, path, body, contentType: json });
  }

  /** The body of a GET as text: logs, metrics. The caller asks for a bounded part of it. */
  async text(path: string, options: CallOptions): Promise<string> {
    return await this.#text({ ...options, method: "GET", path, accept: "*/*" });
  }

  async *watch(kind: ResourceKind, query: WatchQuery, options: CallOptions): AsyncGenerator<WatchEvent> {
    const path = collectionPath(kind, query.namespace);
    const accept = query.metadataOnly === true ? metadataObject : json;
    const search = watchSearch(query);
    using head = deadline(
      watchHeadDeadlineMs,
      `${path}: the watch did not start within ${watchHeadDeadlineMs / 1000} s`,
      this.#deps.clock,
      options.signal,
    );
    const call: Call = { ...options, signal: head.signal, method: "GET", path, search, accept };
    const response = await this.#answer(call, head);
    head.lift();
    const where = `watch ${path}`;
    try {
      for await (const line of jsonLines(response.body, where)) yield parseWatchEvent(line, where);
    } catch (failed) {
      options.signal.throwIfAborted();
      if (failed instanceof CtrlmeshError) throw failed;
      throw new CtrlmeshError("API_UNREACHABLE", { what: reasonOf(failed), where, cause: failed });
    } finally {
      response.body.on("error", ignore).destroy();
    }
  }

  async #write(
    method: "POST" | "PUT" | "PATCH",
    path: string,
    contentType: string,
    body: unknown,
    options: WriteOptions,
    force?: boolean,
  ): Promise<KubernetesObject> {
    const search = writeSearch(options, force);
    const accept = options.metadataOnly === true ? metadataObject : json;
    return parseObject(await this.#json({ ...options, method, path, search, contentType, body, accept }));
  }

  async #json(call: Call): Promise<unknown> {
    const text = await this.#text(call);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CtrlmeshError("MALFORMED_RESPONSE", {
        what: "the answer is no JSON",
        where: `${call.method} ${call.path}`,
        cause,
      });
    }
  }

  /** One call with its body, each attempt bounded by a deadline. */
  async #text(call: Call): Promise<string> {
    using limit = deadline(
      answerDeadlineMs,
      `${call.method} ${call.path}: no answer within ${answerDeadlineMs / 1000} s`,
      this.#deps.clock,
      call.signal,
    );
    const response = await this.#answer({ ...call, signal: limit.signal }, limit);
    return await bodyText(response, call, limit.signal);
  }

  /**
   * The first answer that is no request to come back later. 429 and 503 carry `Retry-After` when the server
   * did nothing yet, so writes can be repeated too. The deadline runs only while the server has the request.
   */
  async #answer(call: Call, limit: Deadline): Promise<Dispatcher.ResponseData> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = {
      accept: call.accept ?? json,
      "user-agent": this.#deps.userAgent,
    };
    if (body !== undefined) headers["content-type"] = call.contentType ?? json;
    for (;;) {
      await this.#deps.limiter.take(call.signal);
      limit.arm();
      const { method, signal } = call;
      const path = call.path + (call.search ?? "");
      const response = await this.#deps.transport.send({ method, path, headers, body, signal });
      if (response.statusCode < 400) return response;
      const waitMs = this.#retryAfterMs(response);
      const text = await bodyText(response, call, signal);
      if (waitMs === undefined) {
        throw apiError(parseStatus(response.statusCode, text), `${method} ${call.path}`);
      }
      limit.lift();
      call.onThrottle?.();
      await this.#deps.clock.sleep(waitMs, signal);
    }
  }

  #retryAfterMs(response: Dispatcher.ResponseData): number | undefined {
    if (response.statusCode !== 429 && response.statusCode !== 503) return undefined;
    const header = response.headers["retry-after"];
    const seconds = typeof header === "string" ? Number.parseInt(header, 10) : Number.NaN;
    if (!Number.isFinite(seconds) || seconds < 0) return undefined;
    const bounded = Math.min(Math.max(seconds, 0.1), retryAfterLimitSeconds);
    // All clients of a busy server get the same number; spread, they don't come back as one wave.
    return bounded * 1000 * (1 + 0.5 * this.#deps.random());
  }
}

async function bodyText(response: Dispatcher.ResponseData, call: Call, signal: AbortSignal): Promise<string> {
  try {
    return await response.body.text();
  } catch (failed) {
    signal.throwIfAborted();
    throw new CtrlmeshError("API_UNREACHABLE", {
      what: `the answer broke off: ${reasonOf(failed)}`,
      where: `${call.method} ${call.path}`,
      cause: failed,
    });
  }
}

function nameIn(object: KubernetesObject): ObjectName {
  const { name = "", namespace } = object.metadata ?? {};
  return namespace === undefined ? { name } : { name, namespace };
}

function reasonOf(failed: unknown): string {
  return failed instanceof Error ? failed.message : String(failed);
}

/** A destroyed body reports the abort as an error that nobody waits for. */
function ignore(): void {}
