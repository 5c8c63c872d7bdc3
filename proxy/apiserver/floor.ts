import type { RequestInfo } from "#kube/wire/request-info";
import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { type Floor, ListTally } from "./floor-rules.ts";
import { isDecimal } from "./resource-version.ts";

/** Answer of one floor read. */
export type FloorAnswer =
  | { readonly kind: "known"; readonly resourceVersion: string }
  /** 403: this scope may not be listed. */
  | { readonly kind: "forbidden" }
  /** 404 or 405: the API server does not serve lists of it. */
  | { readonly kind: "absent" };

/** What one floor read asks for. */
export interface FloorQuestion {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  /** Undefined: cluster-wide. */
  readonly namespace: string | undefined;
  /** The shard's, text form. It does not matter for the answer: no read of a limited resource goes without it. */
  readonly selector: string;
}

/**
 * Reads the current resourceVersion of a resource by a consistent list. Rejects when the API server gave no usable
 * answer.
 */
export type ReadFloor = (question: FloorQuestion) => Promise<FloorAnswer>;

/** The table as it is kept on disk beside the snapshot. */
export interface FloorsOnDisk {
  readonly floors: readonly FloorOnDisk[];
  /**
   * Resources that a view has limited, as "group/resource"; absent for none. Clients outlive the proxy, so a list of
   * such a view may be gone on from when the limit is long gone.
   */
  readonly onceLimited?: readonly string[];
}

export interface FloorOnDisk {
  readonly group: string;
  readonly resource: string;
  /** Absent: cluster-wide. */
  readonly namespace?: string;
  /** The shard's selector that the floor belongs to: under another one it does not count. */
  readonly selector: string;
  readonly resourceVersion: string;
}

export interface FloorTableDeps {
  readonly read: ReadFloor;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Ends reads that wait for their next attempt. */
  readonly signal: AbortSignal;
  /** Called when a floor has become known, to bring the table to the disk. */
  readonly onKnown: () => void;
}

export type ResourcePredicate = (group: string, resource: string) => boolean;

/** What the table says to one request. */
export type FloorState =
  | { readonly kind: "known"; readonly floor: Floor }
  | { readonly kind: "unreadable" }
  /** Ask again once `ready` resolves; it never rejects. */
  | { readonly kind: "wait"; readonly ready: Promise<void> };

/** Reads fail while the API server is away: the first retry comes soon, later ones spare it. */
const readRetryMs = { minMs: 100, maxMs: 5_000 };
/** Rights change rarely, and a request waits for each of these reads. */
const forbiddenRetryMs = 30_000;
/** A kind may be established at any time, and its watches are refused until its floor is known. */
const absentRetryMs = 1_000;
/** In place of the selector of what is not limited any more. */
const noSelector = "";
/** Names come from clients. Beyond it the oldest floor is forgotten and read anew when needed. */
const scopeLimit = 10_000;

/** One resource, cluster-wide or in one namespace. */
interface Scope {
  readonly group: string;
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly selector: string;
  answer: FloorAnswer | undefined;
  readonly lists: ListTally;
  /** On the monotonic clock; only for answers that do not last. */
  retryAtMs: number;
  /** Another one after each failed read. */
  ready: PromiseWithResolvers<void>;
}

/**
 * Floors of the limited resources (`ownership.md` section 4). A floor is read when the first request needs it,
 * cluster-wide if the pod may, else per namespace, and kept until the resource's selector changes.
 */
export class FloorTable {
  readonly #deps: FloorTableDeps;
  readonly #scopes = new Map<string, Scope>();
  /** Resources that were asked for under a limit, by this process or by those before. */
  readonly #onceLimited = new Set<string>();
  #holds: ResourcePredicate[] = [];
  #unfinishedHolds = 0;
  #released = Promise.withResolvers<void>();

  constructor(deps: FloorTableDeps) {
    this.#deps = deps;
  }

  /** What counts for a request of a limited resource. Starts the read when nothing is known. */
  stateFor(info: RequestInfo, selector: string): FloorState {
    const { apiGroup, resource, namespace } = info;
    if (this.#holds.some((isHeld) => isHeld(apiGroup, resource))) {
      return { kind: "wait", ready: this.#released.promise };
    }
    const clusterWide = this.#scopeOf(info, undefined, selector);
    const scope =
      clusterWide.answer?.kind === "forbidden" && namespace !== ""
        ? this.#scopeOf(info, namespace, selector)
        : clusterWide;
    if (scope.answer === undefined) return { kind: "wait", ready: scope.ready.promise };
    if (scope.answer.kind !== "known") return { kind: "unreadable" };
    const { resourceVersion } = scope.answer;
    return { kind: "known", floor: { resourceVersion, lists: scope.lists } };
  }

  /**
   * The same for a resource without a limit: undefined unless an earlier view limited it. Then a client may hold a
   * list of that view, and a watch from there would never tell it of what it could not see.
   */
  stateForUnlimited(info: RequestInfo): FloorState | undefined {
    const isOnceLimited = this.#onceLimited.has(keyOf(info.apiGroup, info.resource, undefined));
    return isOnceLimited ? this.stateFor(info, noSelector) : undefined;
  }

  /**
   * Requests of the chosen resources wait until `reset`: from the moment the next snapshot is in force until
   * the lists of the previous view have drained. Each hold is followed by one reset.
   */
  hold(isChanged: ResourcePredicate): void {
    this.#holds.push(isChanged);
    this.#unfinishedHolds++;
  }

  /** Forgets the floors of the chosen resources and ends their hold; the next request reads them anew. */
  reset(isChanged: ResourcePredicate): void {
    this.#unfinishedHolds = Math.max(0, this.#unfinishedHolds - 1);
    this.#holds =
      this.#unfinishedHolds === 0
        ? []
        : this.#holds.map(
            (isHeld) => (group, resource) => isHeld(group, resource) && !isChanged(group, resource),
          );
    for (const [key, scope] of this.#scopes) {
      if (isChanged(scope.group, scope.resource)) this.#forget(key, scope);
    }
    const released = this.#released;
    this.#released = Promise.withResolvers();
    released.resolve();
  }

  toJSON(): FloorsOnDisk {
    const floors: FloorOnDisk[] = [];
    for (const { group, resource, namespace, selector, answer } of this.#scopes.values()) {
      if (answer?.kind !== "known") continue;
      const { resourceVersion } = answer;
      floors.push({
        group,
        resource,
        ...(namespace === undefined ? {} : { namespace }),
        selector,
        resourceVersion,
      });
    }
    const onceLimited = [...this.#onceLimited].sort();
    return onceLimited.length === 0 ? { floors } : { floors, onceLimited };
  }

  /**
   * A table with what the disk holds. What can't be read there is left out: an unknown floor is read anew, which
   * costs a relist and never shows anything wrong.
   */
  static fromJSON(value: unknown, deps: FloorTableDeps): FloorTable {
    const table = new FloorTable(deps);
    for (const floor of floorsOnDisk(value)) {
      const { group, resource, namespace, selector, resourceVersion } = floor;
      const scope = newScope(group, resource, namespace, selector);
      scope.answer = { kind: "known", resourceVersion };
      table.#scopes.set(keyOf(group, resource, namespace), scope);
      table.#onceLimited.add(keyOf(group, resource, undefined));
    }
    for (const key of onceLimitedOnDisk(value)) table.#onceLimited.add(key);
    return table;
  }

  #scopeOf(info: RequestInfo, namespace: string | undefined, selector: string): Scope {
    const key = keyOf(info.apiGroup, info.resource, namespace);
    const present = this.#scopes.get(key);
    if (present !== undefined && present.selector === selector && !this.#isStale(present)) return present;
    if (present !== undefined) this.#forget(key, present);
    this.#makeRoom();
    const scope = newScope(info.apiGroup, info.resource, namespace, selector);
    this.#scopes.set(key, scope);
    if (selector !== noSelector) this.#noteLimited(keyOf(info.apiGroup, info.resource, undefined));
    void this.#read(key, scope, info.apiVersion);
    return scope;
  }

  #isStale({ answer, retryAtMs }: Scope): boolean {
    return answer !== undefined && answer.kind !== "known" && this.#deps.clock.monotonicMs() >= retryAtMs;
  }

  #noteLimited(key: string): void {
    this.#onceLimited.add(key);
    const [oldest] = this.#onceLimited;
    if (this.#onceLimited.size > scopeLimit && oldest !== undefined) this.#onceLimited.delete(oldest);
  }

  #makeRoom(): void {
    if (this.#scopes.size < scopeLimit) return;
    for (const [key, scope] of this.#scopes) {
      this.#forget(key, scope);
      return;
    }
  }

  #forget(key: string, scope: Scope): void {
    this.#scopes.delete(key);
    scope.ready.resolve();
  }

  /** Until there is an answer, or nobody wants it any more. Never rejects. */
  async #read(key: string, scope: Scope, version: string): Promise<void> {
    const { read, clock, log, random, signal, onKnown } = this.#deps;
    const { group, resource, namespace, selector } = scope;
    const backoff = new Backoff({ ...readRetryMs, clock, random });
    while (this.#scopes.get(key) === scope && !signal.aborted) {
      try {
        const answer = usable(await read({ group, version, resource, namespace, selector }));
        if (this.#scopes.get(key) !== scope) return;
        scope.answer = answer;
        scope.retryAtMs =
          clock.monotonicMs() + (answer.kind === "forbidden" ? forbiddenRetryMs : absentRetryMs);
        scope.ready.resolve();
        if (answer.kind === "known") onKnown();
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn("floor could not be read", { group, resource, namespace, error });
        letAskAgain(scope);
        await backoff.wait(signal).catch(() => undefined);
      }
    }
  }
}

/**
 * Wakes those who wait, and those who still want to know ask again. A promise keeps all that ever waited for it
 * until it resolves: while the API server is away, each request that gave up would stay in memory.
 */
function letAskAgain(scope: Scope): void {
  const { resolve } = scope.ready;
  scope.ready = Promise.withResolvers();
  resolve();
}

/** Resources without versions (metrics and the like) can't be watched from one: nothing is below "0". */
function usable(answer: FloorAnswer): FloorAnswer {
  if (answer.kind !== "known" || isDecimal(answer.resourceVersion)) return answer;
  if (answer.resourceVersion === "") return { kind: "known", resourceVersion: "0" };
  throw new Error(`the resource version "${answer.resourceVersion}" is no number`);
}

function newScope(group: string, resource: string, namespace: string | undefined, selector: string): Scope {
  return {
    group,
    resource,
    namespace,
    selector,
    answer: undefined,
    lists: new ListTally(),
    retryAtMs: 0,
    ready: Promise.withResolvers(),
  };
}

/** No part holds a slash. */
function keyOf(group: string, resource: string, namespace: string | undefined): string {
  return namespace === undefined ? `${group}/${resource}` : `${group}/${resource}/${namespace}`;
}

function floorsOnDisk(value: unknown): FloorOnDisk[] {
  if (typeof value !== "object" || value === null || !("floors" in value)) return [];
  return Array.isArray(value.floors) ? value.floors.filter(isFloorOnDisk) : [];
}

function onceLimitedOnDisk(value: unknown): string[] {
  if (typeof value !== "object" || value === null || !("onceLimited" in value)) return [];
  const { onceLimited } = value;
  return Array.isArray(onceLimited)
    ? onceLimited.filter((key) => typeof key === "string").slice(0, scopeLimit)
    : [];
}

function isFloorOnDisk(value: unknown): value is FloorOnDisk {
  if (typeof value !== "object" || value === null) return false;
  const { group, resource, namespace, selector, resourceVersion } = value as Record<string, unknown>;
  return (
    typeof group === "string" &&
    typeof resource === "string" &&
    (namespace === undefined || typeof namespace === "string") &&
    typeof selector === "string" &&
    typeof resourceVersion === "string" &&
    isDecimal(resourceVersion)
  );
}
