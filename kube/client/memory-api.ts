import { EventEmitter, on } from "node:events";
import { parseSelector, selectorMatches } from "#api/label-selector";
import type { KubernetesObject } from "#api/meta";
import { apiError, isRecord } from "./api-error.ts";
import type {
  CallOptions,
  KubeClient,
  ListPage,
  ListQuery,
  ObjectName,
  Patch,
  ResourceKind,
  WatchEvent,
  WatchQuery,
} from "./client.ts";
import { keyOf } from "./resource-path.ts";

interface Change {
  readonly resource: string;
  readonly previous: KubernetesObject | undefined;
  readonly object: KubernetesObject | undefined;
  readonly version: number;
}

/**
 * Objects in memory with the API's meaning of lists, label selectors, field selectors of name, namespace and phase, watches
 * (an object that leaves a selection is DELETED), compare-and-swap and merge patch. For tests of what follows
 * and labels objects.
 */
export class MemoryApi implements KubeClient {
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #history: Change[] = [];
  readonly #changes = new EventEmitter({ captureRejections: false }).setMaxListeners(0);
  #version = 100;
  /** Verb, resource and name of each call. */
  readonly calls: string[] = [];
  /** Called before each call; throwing makes it fail. */
  before: (verb: string, kind: ResourceKind, name: string, options: CallOptions) => void | Promise<void> =
    () => {};
  /** Answers of `raw` by path. */
  readonly documents = new Map<string, unknown>();

  /** Sets an object past all checks, as another writer would. */
  put(resource: string, object: KubernetesObject): KubernetesObject {
    const { namespace, name = "" } = object.metadata ?? {};
    const key = `${resource}|${keyOf(namespace === undefined ? { name } : { namespace, name })}`;
    this.#version += 1;
    const uid = this.#objects.get(key)?.metadata?.uid ?? `uid-${this.#version}`;
    const metadata = { uid, ...object.metadata, resourceVersion: String(this.#version) };
    const stored = { ...object, metadata };
    const previous = this.#objects.get(key);
    this.#objects.set(key, stored);
    this.#publish({ resource, previous, object: stored, version: this.#version });
    return stored;
  }

  peek(resource: string, name: string, namespace?: string): KubernetesObject | undefined {
    return this.#objects.get(
      `${resource}|${keyOf(namespace === undefined ? { name } : { namespace, name })}`,
    );
  }

  async get(kind: ResourceKind, name: ObjectName, options: CallOptions): Promise<KubernetesObject> {
    await this.#begin("get", kind, name.name, options);
    return structuredClone(this.#existing(kind, name));
  }

  async list(kind: ResourceKind, query: ListQuery, options: CallOptions): Promise<ListPage> {
    await this.#begin("list", kind, query.labelSelector ?? "", options);
    const start = query.continueToken === undefined ? 0 : Number(query.continueToken);
    const all = [...this.#objects]
      .filter(([key, object]) => key.startsWith(`${kind.resource}|`) && selects(query, object))
      .map(([, object]) => structuredClone(object));
    const end = start + (query.limit ?? all.length);
    return {
      items: all.slice(start, end),
      resourceVersion: String(this.#version),
      continueToken: end < all.length ? String(end) : undefined,
      remainingItemCount: undefined,
    };
  }

  async create(
    kind: ResourceKind,
    object: KubernetesObject,
    options: CallOptions,
  ): Promise<KubernetesObject> {
    const name = object.metadata?.name ?? "";
    await this.#begin("create", kind, name, options);
    if (this.peek(kind.resource, name, object.metadata?.namespace) !== undefined)
      throw refusal(409, "AlreadyExists");
    return this.put(kind.resource, object);
  }

  async update(
    kind: ResourceKind,
    object: KubernetesObject,
    options: CallOptions,
  ): Promise<KubernetesObject> {
    const { name = "", namespace, resourceVersion } = object.metadata ?? {};
    await this.#begin("update", kind, name, options);
    const present = this.#existing(kind, namespace === undefined ? { name } : { namespace, name });
    if (resourceVersion !== undefined && present.metadata?.resourceVersion !== resourceVersion) {
      throw refusal(409, "Conflict");
    }
    return this.put(kind.resource, object);
  }

  async patch(
    kind: ResourceKind,
    name: ObjectName,
    patch: Patch,
    options: CallOptions,
  ): Promise<KubernetesObject> {
    await this.#begin("patch", kind, name.name, options);
    if (patch.type === "apply") return this.#apply(kind, name, patch.body);
    if (patch.type !== "merge") throw refusal(415, "UnsupportedMediaType");
    const present = this.#existing(kind, name);
    const next = merged(present, patch.body);
    return JSON.stringify(next) === JSON.stringify(present) ? present : this.put(kind.resource, next);
  }

  /** One applier only, so what it applied before is replaced whole. */
  #apply(kind: ResourceKind, name: ObjectName, body: KubernetesObject): KubernetesObject {
    const present = this.peek(kind.resource, name.name, name.namespace);
    const next = { ...present, ...body, metadata: { ...present?.metadata, ...body.metadata } };
    return JSON.stringify(next) === JSON.stringify(present) ? next : this.put(kind.resource, next);
  }

  async delete(kind: ResourceKind, name: ObjectName, options: CallOptions): Promise<void> {
    await this.#begin("delete", kind, name.name, options);
    const previous = this.#existing(kind, name);
    this.#version += 1;
    this.#objects.delete(`${kind.resource}|${keyOf(name)}`);
    this.#publish({ resource: kind.resource, previous, object: undefined, version: this.#version });
  }

  async raw(_method: "GET" | "POST", path: string, _body: unknown, options: CallOptions): Promise<unknown> {
    await this.#begin("raw", { group: "", version: "", resource: path, namespaced: false }, "", options);
    const document = this.documents.get(path);
    if (document === undefined) throw refusal(404, "NotFound");
    return structuredClone(document);
  }

  async *watch(kind: ResourceKind, query: WatchQuery, options: CallOptions): AsyncGenerator<WatchEvent> {
    const changes = on(this.#changes, "change", { signal: options.signal });
    await this.#begin("watch", kind, query.resourceVersion, options);
    let seen = Number(query.resourceVersion);
    const pending = this.#history.filter((change) => change.version > seen);
    try {
      for (const change of pending) {
        seen = change.version;
        const event = eventOf(change, kind, query);
        if (event !== undefined) yield event;
      }
      for await (const [change] of changes as AsyncIterable<[Change]>) {
        if (change.version <= seen) continue;
        seen = change.version;
        const event = eventOf(change, kind, query);
        if (event !== undefined) yield event;
      }
    } catch (thrown) {
      options.signal.throwIfAborted();
      throw thrown;
    }
  }

  #existing(kind: ResourceKind, name: ObjectName): KubernetesObject {
    const found = this.#objects.get(`${kind.resource}|${keyOf(name)}`);
    if (found === undefined) throw refusal(404, "NotFound");
    return found;
  }

  async #begin(verb: string, kind: ResourceKind, name: string, options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    this.calls.push(`${verb} ${kind.resource} ${name}`.trim());
    await this.before(verb, kind, name, options);
    options.signal.throwIfAborted();
  }

  #publish(change: Change): void {
    this.#history.push(change);
    this.#changes.emit("change", change);
  }
}

function eventOf(change: Change, kind: ResourceKind, query: WatchQuery): WatchEvent | undefined {
  if (change.resource !== kind.resource) return undefined;
  const before = change.previous !== undefined && selects(query, change.previous);
  const now = change.object !== undefined && selects(query, change.object);
  const object = structuredClone(change.object ?? change.previous ?? {});
  const metadata = { ...object.metadata, resourceVersion: String(change.version) };
  if (now) return { type: before ? "MODIFIED" : "ADDED", object: { ...object, metadata } };
  return before ? { type: "DELETED", object: { ...object, metadata } } : undefined;
}

function selects(query: ListQuery | WatchQuery, { metadata = {}, status }: KubernetesObject): boolean {
  if (query.namespace !== undefined && metadata.namespace !== query.namespace) return false;
  const fields = (query.fieldSelector ?? "").split(",").filter((term) => term !== "");
  for (const term of fields) {
    const [field, value] = term.split(/!?=/);
    const fieldValues: Readonly<Record<string, unknown>> = {
      "metadata.name": metadata.name,
      "metadata.namespace": metadata.namespace,
      "status.phase": isRecord(status) ? status.phase : undefined,
    };
    const present = fieldValues[field ?? ""];
    if ((present === value) === term.includes("!=")) return false;
  }
  return selectorMatches(parseSelector(query.labelSelector ?? ""), metadata.labels ?? {});
}

/** RFC 7396. */
function merged(target: KubernetesObject, patch: unknown): KubernetesObject {
  const result = mergeValue(target, patch);
  return isRecord(result) ? result : {};
}

function mergeValue(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergeValue(result[name], value);
  }
  return result;
}

/** An error as the API server's answer gives it. */
export function refusal(httpStatus: number, reason: string, message = reason) {
  const status = { httpStatus, reason, message, continueToken: undefined, retryAfterSeconds: undefined };
  return apiError(status, "memory");
}
