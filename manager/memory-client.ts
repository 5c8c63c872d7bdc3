import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { KubeClient, ObjectName, ResourceKind } from "#kube/client/client";

/**
 * Objects in memory behind the client's interface, for tests of what reads and writes whole objects: create
 * refuses what exists, update compares resourceVersions, apply merges two levels deep and leaves what is equal.
 * Watches, raw calls and other patches are not there.
 */
export class MemoryClient implements KubeClient {
  readonly #objects = new Map<string, KubernetesObject>();
  #version = 0;
  /** Number of writes that changed something. */
  writes = 0;
  /** Called before each call; throwing makes it fail. */
  before: (verb: string, kind: ResourceKind, name: ObjectName) => void = () => undefined;

  peek(resource: string, name: string, namespace = ""): KubernetesObject | undefined {
    return this.#objects.get(`${resource}/${namespace}/${name}`);
  }

  async get(kind: ResourceKind, name: ObjectName): Promise<KubernetesObject> {
    this.before("get", kind, name);
    const found = this.#objects.get(key(kind, name));
    if (found === undefined) throw failure("API_NOT_FOUND", kind, name);
    return structuredClone(found);
  }

  async list(kind: ResourceKind, { namespace = "" }: { readonly namespace?: string }) {
    this.before("list", kind, { name: "" });
    const prefix = `${kind.resource}/${namespace === "" ? "" : `${namespace}/`}`;
    const items = [...this.#objects].filter(([at]) => at.startsWith(prefix)).map(([, object]) => object);
    return {
      items,
      resourceVersion: String(this.#version),
      continueToken: undefined,
      remainingItemCount: undefined,
    };
  }

  async create(kind: ResourceKind, object: KubernetesObject): Promise<KubernetesObject> {
    const name = nameOf(object);
    this.before("create", kind, name);
    if (this.#objects.has(key(kind, name))) throw failure("API_CONFLICT", kind, name);
    return this.#store(kind, object);
  }

  async update(kind: ResourceKind, object: KubernetesObject): Promise<KubernetesObject> {
    const name = nameOf(object);
    this.before("update", kind, name);
    const present = this.#objects.get(key(kind, name));
    if (present === undefined) throw failure("API_NOT_FOUND", kind, name);
    if (present.metadata?.resourceVersion !== object.metadata?.resourceVersion) {
      throw failure("API_CONFLICT", kind, name);
    }
    return this.#store(kind, object);
  }

  async patch(
    kind: ResourceKind,
    name: ObjectName,
    patch: Parameters<KubeClient["patch"]>[2],
  ): Promise<KubernetesObject> {
    this.before("patch", kind, name);
    if (patch.type !== "apply") throw failure("INTERNAL", kind, name);
    const present = this.#objects.get(key(kind, name)) ?? {};
    const { metadata, ...fields } = patch.body;
    const next = { ...present, ...fields, metadata: { ...present.metadata, ...metadata } };
    return JSON.stringify(next) === JSON.stringify(present) ? present : this.#store(kind, next);
  }

  async delete(kind: ResourceKind, name: ObjectName): Promise<void> {
    this.before("delete", kind, name);
    if (!this.#objects.delete(key(kind, name))) throw failure("API_NOT_FOUND", kind, name);
  }

  raw(): Promise<unknown> {
    return Promise.reject(new CtrlmeshError("INTERNAL", { what: "no raw calls in memory" }));
  }

  // biome-ignore lint/correctness/useYield: there are no events.
  async *watch(): AsyncGenerator<never> {
    throw new CtrlmeshError("INTERNAL", { what: "no watches in memory" });
  }

  #store(kind: ResourceKind, object: KubernetesObject): KubernetesObject {
    const resourceVersion = String(++this.#version);
    const stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion } });
    this.#objects.set(key(kind, nameOf(object)), stored);
    this.writes++;
    return structuredClone(stored);
  }
}

function key({ resource }: ResourceKind, { namespace = "", name }: ObjectName): string {
  return `${resource}/${namespace}/${name}`;
}

function nameOf({ metadata = {} }: KubernetesObject): ObjectName {
  const { namespace, name = "" } = metadata;
  return namespace === undefined ? { name } : { namespace, name };
}

function failure(
  code: "API_NOT_FOUND" | "API_CONFLICT" | "INTERNAL",
  { resource }: ResourceKind,
  { name }: ObjectName,
): CtrlmeshError {
  return new CtrlmeshError(code, { what: `${resource} ${name}` });
}
