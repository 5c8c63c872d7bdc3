import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { type Labels, type Resource, resources } from "./view.ts";

/** One write of an object. */
export interface Change {
  /** Also the object's resourceVersion. */
  readonly revision: number;
  /** When etcd told of it, on the monotonic clock. */
  readonly toldAtMs: number;
  /** "namespace/name". */
  readonly path: string;
  readonly namespace: string;
  /** Undefined: it was deleted. */
  readonly labels: Labels | undefined;
  readonly previous: Change | undefined;
}

export type Transition = "ADDED" | "MODIFIED" | "DELETED";
export type IsSeen = (change: Change & { readonly labels: Labels }) => boolean;

const reachMs = 20_000;
/** The whole keyspace: so the newest revision is known whatever was written. */
const everything = { key: "AA==", range_end: "AA==" };

/**
 * The truth: every write of the watched resources, from etcd itself and so in its total order. It needs API servers
 * that store JSON (`--storage-media-type=application/json`).
 */
export class EtcdHistory implements AsyncDisposable {
  readonly #url: string;
  readonly #changes = new Map<Resource, Change[]>(resources.map((resource) => [resource, []]));
  readonly #newestOf = new Map<string, Change>();
  readonly #waiting = new Set<() => void>();
  #newest = 0;
  #compacted = 0;
  #watch: ClientRequest | undefined;

  private constructor(url: string) {
    this.#url = url;
  }

  /** Follows an etcd from its first revision on. */
  static async follow(url: string): Promise<EtcdHistory> {
    const history = new EtcdHistory(url);
    const create_request = { ...everything, start_revision: "1" };
    const [watch, answer] = await history.#post("/v3/watch", { create_request });
    history.#watch = watch;
    answer.on("error", () => undefined);
    createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY })
      .on("line", (line) => history.#take(line))
      .on("error", () => undefined);
    return history;
  }

  get newest(): number {
    return this.#newest;
  }

  /** etcd's revision now, by a linearized read. */
  async revision(): Promise<number> {
    const [, answer] = await this.#post("/v3/kv/range", { key: "AA==", limit: "1" });
    const body = JSON.parse(Buffer.concat(await answer.toArray()).toString("utf8"));
    return Number(body.header.revision);
  }

  /** Forgets what is older than a revision; one that is compacted already stays as it is. */
  async compact(revision: number): Promise<void> {
    if (revision <= this.#compacted) return;
    const [, answer] = await this.#post("/v3/kv/compaction", { revision: String(revision) });
    await answer.toArray();
    this.#compacted = revision;
  }

  /** Resolves when all writes up to a revision are known. */
  async reached(revision: number): Promise<void> {
    const deadline = performance.now() + reachMs;
    while (this.#newest < revision) {
      if (performance.now() > deadline)
        throw new Error(`etcd is at ${this.#newest}, and ${revision} was seen by a client`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, 1000);
      this.#waiting.add(resolve);
      await promise;
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }

  /** The objects at a revision: path to resourceVersion. */
  stateAt(resource: Resource, revision: number, isSeen: IsSeen): Map<string, number> {
    const state = new Map<string, number>();
    for (const change of this.#changes.get(resource) ?? []) {
      if (change.revision > revision) break;
      if (isSeenAfter(change, isSeen)) state.set(change.path, change.revision);
      else state.delete(change.path);
    }
    return state;
  }

  /** The changes behind a revision, oldest first. */
  changesAfter(resource: Resource, revision: number): readonly Change[] {
    const changes = this.#changes.get(resource) ?? [];
    let low = 0;
    let high = changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((changes[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return changes.slice(low);
  }

  /** Whether an object is there, as far as etcd has told. */
  has(resource: Resource, path: string): boolean {
    return this.#newestOf.get(`${resource} ${path}`)?.labels !== undefined;
  }

  /** All writes of one object, for people to read. */
  historyOf(resource: Resource, path: string): string[] {
    return (this.#changes.get(resource) ?? [])
      .filter((change) => change.path === path)
      .map(
        ({ revision, labels }) => `${revision} ${labels === undefined ? "deleted" : JSON.stringify(labels)}`,
      );
  }

  async #post(path: string, body: unknown): Promise<[ClientRequest, IncomingMessage]> {
    const call = request(`${this.#url}${path}`, { method: "POST" });
    call.end(JSON.stringify(body));
    const [answer]: IncomingMessage[] = await once(call, "response");
    call.on("error", () => undefined);
    if (answer?.statusCode !== 200) throw new Error(`etcd answered ${answer?.statusCode} to ${path}`);
    return [call, answer];
  }

  #take(line: string): void {
    const events: EtcdEvent[] = JSON.parse(line).result?.events ?? [];
    for (const { type, kv } of events) {
      const revision = Number(kv.mod_revision);
      this.#newest = Math.max(this.#newest, revision);
      const key = Buffer.from(kv.key, "base64").toString("utf8");
      const [, registry, ...rest] = key.split("/");
      const [resource, namespace = "", name] = rest[0] === "services" ? rest.slice(1) : rest;
      const changes = this.#changes.get(resource as Resource);
      if (registry !== "registry" || changes === undefined || name === undefined) continue;
      const change: Change = {
        revision,
        toldAtMs: performance.now(),
        path: `${namespace}/${name}`,
        namespace,
        labels: type === "DELETE" ? undefined : labelsOf(kv.value ?? ""),
        previous: this.#newestOf.get(`${resource} ${namespace}/${name}`),
      };
      changes.push(change);
      this.#newestOf.set(`${resource} ${change.path}`, { ...change, previous: undefined });
    }
    for (const wake of this.#waiting) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.destroy();
  }
}

interface EtcdEvent {
  readonly type?: "DELETE";
  readonly kv: { readonly key: string; readonly value?: string; readonly mod_revision: string };
}

function labelsOf(base64: string): Labels {
  const object = JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
  return object.metadata.labels ?? {};
}

function isSeenAfter(change: Change | undefined, isSeen: IsSeen): boolean {
  return change?.labels !== undefined && isSeen({ ...change, labels: change.labels });
}

/** What a watch with a selector tells of a change, as the API server's watch cache does; undefined: nothing. */
export function transitionOf(change: Change, isSeen: IsSeen): Transition | undefined {
  const was = isSeenAfter(change.previous, isSeen);
  const is = isSeenAfter(change, isSeen);
  if (is) return was ? "MODIFIED" : "ADDED";
  return was ? "DELETED" : undefined;
}
