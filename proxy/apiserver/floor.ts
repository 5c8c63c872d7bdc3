import type { RequestInfo } from "#kube/wire/request-info";
import { FloorScope, type FloorScopeDeps, type FloorState } from "./floor-scope.ts";
import { type FloorOnDisk, type FloorsOnDisk, readFloorsOnDisk } from "./floors-on-disk.ts";

export type ResourcePredicate = (group: string, resource: string) => boolean;

/** In place of the selector of what is not limited any more. */
const noSelector = "";
/** Names come from clients. Beyond it the oldest floor is forgotten and read anew when needed. */
const scopeLimit = 10_000;

/** The views of this pod so far: none, one (by its name), or others before the one in force. */
type PastViews = { readonly kind: "none" | "several" } | { readonly kind: "first"; readonly view: string };

/**
 * Floors of the limited resources (`ownership.md` section 4). A floor is read when the first request needs it,
 * cluster-wide if the pod may, else per namespace, and kept until the resource's selector changes.
 */
export class FloorTable {
  readonly #deps: FloorScopeDeps;
  readonly #scopes = new Map<string, FloorScope>();
  /** Resources that were asked for under a limit, by this process or by those before. */
  readonly #onceLimited = new Set<string>();
  #pastViews: PastViews = { kind: "several" };
  #holds: ResourcePredicate[] = [];
  #unfinishedHolds = 0;
  #released = Promise.withResolvers<void>();

  private constructor(deps: FloorScopeDeps) {
    this.#deps = deps;
  }

  /** The table of a pod that was never shown anything: until its view changes, each floor is clean at once. */
  static ofNewPod(deps: FloorScopeDeps): FloorTable {
    const table = new FloorTable(deps);
    table.#pastViews = { kind: "none" };
    return table;
  }

  /** A table with what the disk holds (`FloorsOnDisk`); what can't be read there is left out. */
  static fromJSON(value: unknown, deps: FloorScopeDeps): FloorTable {
    const table = new FloorTable(deps);
    const { floors, onceLimited = [], firstView } = readFloorsOnDisk(value, scopeLimit);
    for (const { group, resource, namespace, selector, resourceVersion, isClean = false } of floors) {
      const name = { group, resource, namespace, selector };
      const scope = FloorScope.known(name, { resourceVersion, isClean }, deps);
      table.#scopes.set(keyOf(group, resource, namespace), scope);
      table.#onceLimited.add(keyOf(group, resource, undefined));
    }
    for (const key of onceLimited) table.#onceLimited.add(key);
    if (firstView !== undefined) table.#pastViews = { kind: "first", view: firstView };
    return table;
  }

  /** A view is in force, by its name (`CompiledSnapshot.view`). Call it before anything is shown under it. */
  enter(view: string): void {
    if (this.#pastViews.kind === "none") this.#pastViews = { kind: "first", view };
    else if (this.#pastViews.kind === "first" && this.#pastViews.view !== view) {
      this.#pastViews = { kind: "several" };
    }
  }

  /** What counts for a request of a limited resource. Starts the read when nothing is known. */
  stateFor(info: RequestInfo, selector: string): FloorState {
    const { apiGroup, resource, apiVersion, namespace } = info;
    if (this.#isHeld(apiGroup, resource)) return { kind: "wait", ready: this.#released.promise };
    const clusterWide = this.#scopeOf(info, undefined, selector);
    const scope =
      clusterWide.isForbidden && namespace !== "" ? this.#scopeOf(info, namespace, selector) : clusterWide;
    return scope.stateFor(apiVersion);
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
      if (isChanged(scope.name.group, scope.name.resource)) this.#forget(key, scope);
    }
    const released = this.#released;
    this.#released = Promise.withResolvers();
    released.resolve();
  }

  toJSON(): FloorsOnDisk {
    const floors: FloorOnDisk[] = [];
    for (const { name, known } of this.#scopes.values()) {
      const { group, resource, namespace, selector } = name;
      // What is held belongs to the view before, and its selector may be the next one's too.
      if (known === undefined || this.#isHeld(group, resource)) continue;
      floors.push({
        group,
        resource,
        ...(namespace === undefined ? {} : { namespace }),
        selector,
        resourceVersion: known.resourceVersion,
        ...(known.isClean ? { isClean: true } : {}),
      });
    }
    const onceLimited = [...this.#onceLimited].sort();
    return {
      floors,
      ...(onceLimited.length === 0 ? {} : { onceLimited }),
      ...(this.#pastViews.kind === "first" ? { firstView: this.#pastViews.view } : {}),
    };
  }

  #isHeld(group: string, resource: string): boolean {
    return this.#holds.some((isHeld) => isHeld(group, resource));
  }

  #scopeOf(info: RequestInfo, namespace: string | undefined, selector: string): FloorScope {
    const { apiGroup: group, resource, apiVersion } = info;
    const key = keyOf(group, resource, namespace);
    const present = this.#scopes.get(key);
    if (present !== undefined && present.name.selector === selector && !present.isStale) return present;
    if (present !== undefined) this.#forget(key, present);
    this.#makeRoom();
    const scope = new FloorScope({ group, resource, namespace, selector }, this.#deps);
    this.#scopes.set(key, scope);
    if (selector !== noSelector) this.#noteLimited(keyOf(group, resource, undefined));
    scope.start(apiVersion, this.#pastViews.kind === "first");
    return scope;
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

  #forget(key: string, scope: FloorScope): void {
    this.#scopes.delete(key);
    scope.forget();
  }
}

/** No part holds a slash. */
function keyOf(group: string, resource: string, namespace: string | undefined): string {
  return namespace === undefined ? `${group}/${resource}` : `${group}/${resource}/${namespace}`;
}
