import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { wellKnown } from "#api/names";
import { isRecord } from "#kube/client/api-error";
import type { KubeClient } from "#kube/client/client";
import { runController } from "#kube/client/controller";
import { startInformer } from "#kube/client/informer";
import type { ReflectorDeps } from "#kube/client/reflector";
import { WorkQueue } from "#kube/client/work-queue";
import { type Discovery, discover, type ServedResource } from "./discovery.ts";
import { type LabelledKinds, parseResourceConfig } from "./resource-config.ts";
import {
  filteredKinds,
  type GroupResource,
  isLabelable,
  type ResourcePattern,
  unfilteredKinds,
  unservedNames,
} from "./resource-patterns.ts";

/** Which kinds exist, which are to be labelled, and what a limit means in them. Never empty once it was filled. */
export interface ResourceCatalog extends AsyncDisposable {
  /** Resolves when discovery and the ConfigMap were read once. */
  synced(signal: AbortSignal): Promise<void>;
  /** Kinds that the ConfigMap asks to label, in the versions that it names. */
  namespacedLabelable(): readonly ServedResource[];
  /** Kinds that the limits filter. Labelable ones among them need labels, whether configured or not. */
  resolve(limits: readonly ResourcePattern[]): readonly ServedResource[];
  /** Kinds that pass unfiltered although a limit's wildcard matches them, Leases and Events always. */
  unfilteredFor(limits: readonly ResourcePattern[]): readonly GroupResource[];
  /** Names in the limits that no served resource has. */
  unserved(limits: readonly ResourcePattern[]): readonly GroupResource[];
  /** All that is served, for policies. */
  served(): readonly ServedResource[];
  /**
   * Kinds whose CRD is being deleted or went within the last 15 s, also when it came back since: what is known
   * of their schema does not count.
   */
  ending(): readonly GroupResource[];
  /** What is wrong with the ConfigMap now: bad content (the last good one stays) or kinds that are not served. */
  findings(): readonly CtrlmeshFinding[];
  onChange(listener: () => void): Disposable;
}

export interface CtrlmeshFinding {
  readonly where: string;
  readonly what: string;
  readonly error: CtrlmeshError | undefined;
}

export interface CatalogDeps extends ReflectorDeps {
  readonly client: KubeClient;
  /** The manager's namespace. */
  readonly namespace: string;
  /** Default `ctrlmesh-sharding-resource`. */
  readonly configMapName?: string;
}

const configMapKind = { group: "", version: "v1", resource: "configmaps", namespaced: true };
const crdKind = {
  group: "apiextensions.k8s.io",
  version: "v1",
  resource: "customresourcedefinitions",
  namespaced: false,
};

/** Aggregated API servers come and go without a CRD. */
const rediscoverMs = 300_000;
/** Discovery follows a CRD by some seconds. */
const afterCrdMs: readonly number[] = [300, 3_000, 12_000];
/** Longer than the API servers' poll of schemas. */
const endedMs = 15_000;
const discoveryKey = "discovery";

/** Starts to follow discovery, CRDs and the ConfigMap. */
export function startResourceCatalog(deps: CatalogDeps): ResourceCatalog {
  return new Catalog(deps);
}

class Catalog implements ResourceCatalog {
  readonly #deps: CatalogDeps;
  readonly #controller = new AbortController();
  readonly #queue: WorkQueue;
  readonly #discovered = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  readonly #configMaps;
  readonly #crds;
  readonly #listeners = new Set<() => void>();
  #served: readonly ServedResource[] = [];
  #config: readonly LabelledKinds[] = [];
  #configError: CtrlmeshError | undefined;
  readonly #endedAtMs = new Map<string, number>();

  constructor(deps: CatalogDeps) {
    this.#deps = deps;
    const { client, namespace, configMapName = wellKnown.shardingResourceConfigMap } = deps;
    const fieldSelector = `metadata.name=${configMapName}`;
    this.#configMaps = startInformer(client, { kind: configMapKind, namespace, fieldSelector }, deps);
    this.#configMaps.onChange(({ object }) => this.#readConfig(object));
    this.#crds = startInformer(client, { kind: crdKind, metadataOnly: true }, deps);
    this.#crds.onChange(({ name, object }) => this.#followCrd(name.name, object));
    this.#queue = new WorkQueue({ ...deps, retryPause: { minMs: 1000, maxMs: 30_000 } });
    const { signal } = this.#controller;
    const reconcile = (key: string) => this.#discover(key, signal);
    const { log } = deps;
    this.#running = runController({
      name: "discovery",
      queue: this.#queue,
      reconcile,
      workers: 1,
      signal,
      log,
    });
    this.#queue.add(discoveryKey);
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#configMaps.synced(signal), this.#crds.synced(signal)]);
    const aborted = Promise.withResolvers<never>();
    const stop = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await Promise.race([this.#discovered.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  served(): readonly ServedResource[] {
    return this.#served;
  }

  namespacedLabelable(): readonly ServedResource[] {
    return this.#served.filter((each) => isLabelable(each) && this.#config.some((line) => names(line, each)));
  }

  resolve(limits: readonly ResourcePattern[]): readonly ServedResource[] {
    return filteredKinds(limits, this.#served);
  }

  unfilteredFor(limits: readonly ResourcePattern[]): readonly GroupResource[] {
    return unfilteredKinds(limits, this.#served);
  }

  unserved(limits: readonly ResourcePattern[]): readonly GroupResource[] {
    return unservedNames(limits, this.#served);
  }

  ending(): readonly GroupResource[] {
    const now = this.#deps.clock.monotonicMs();
    for (const [name, atMs] of this.#endedAtMs) if (now - atMs > endedMs) this.#endedAtMs.delete(name);
    return [...this.#endedAtMs.keys()].map(crdOf);
  }

  findings(): readonly CtrlmeshFinding[] {
    const error = this.#configError;
    const bad = error === undefined ? [] : [{ where: error.where ?? "", what: error.message, error }];
    const missing = this.#config.flatMap((line) => {
      if (line.kinds === "*") return [];
      return line.kinds
        .filter((kind) => !this.#served.some((each) => isOf(line, each) && each.kind === kind))
        .map((kind) => ({
          where: `groupVersionKinds[${JSON.stringify(line.group === "" ? line.version : `${line.group}/${line.version}`)}]`,
          what: `the API server has no kind ${kind} there`,
          error: undefined,
        }));
    });
    return [...bad, ...missing];
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new DOMException("the catalog was closed", "AbortError"));
    this.#queue[Symbol.dispose]();
    await Promise.all([
      this.#running,
      this.#configMaps[Symbol.asyncDispose](),
      this.#crds[Symbol.asyncDispose](),
    ]);
  }

  #readConfig(object: KubernetesObject | undefined): void {
    const { log } = this.#deps;
    try {
      const text = isRecord(object?.data) ? object.data[wellKnown.shardingResourceKey] : undefined;
      this.#config = parseResourceConfig(typeof text === "string" ? text : undefined);
      this.#configError = undefined;
      log.info("list of kinds to label was read", { lines: this.#config.length });
    } catch (thrown) {
      // The last good list stays: labels that stop being set would hide objects from their shards.
      this.#configError = toCtrlmeshError(thrown, "INVALID_SHARDING_RESOURCES");
      log.warn("list of kinds to label is not usable", { error: this.#configError });
    }
    this.#tell();
  }

  #followCrd(name: string, object: KubernetesObject | undefined): void {
    if (object === undefined || object.metadata?.deletionTimestamp !== undefined) {
      this.#endedAtMs.set(name, this.#deps.clock.monotonicMs());
    }
    // Discovery forgets a kind some seconds after its CRD is gone; nothing may rely on it meanwhile.
    if (object === undefined) this.#served = this.#served.filter((each) => crdName(each) !== name);
    for (const ms of afterCrdMs) this.#queue.addAfter(`${discoveryKey} after ${ms} ms`, ms);
    this.#tell();
  }

  async #discover(key: string, signal: AbortSignal) {
    const found = await discover(this.#deps.client, { signal });
    const next = keepUnknown(found, this.#served).filter((each) => !this.#isGone(each));
    const isChanged = next.map(identity).join() !== this.#served.map(identity).join();
    this.#served = next;
    this.#discovered.resolve();
    if (isChanged) this.#tell();
    if (key !== discoveryKey) return undefined;
    return { requeueAfterMs: rediscoverMs * (1 + 0.2 * this.#deps.random()) };
  }

  /** Discovery still names it, and its CRD ended and is not back. */
  #isGone(served: ServedResource): boolean {
    const name = crdName(served);
    return this.#endedAtMs.has(name) && this.#crds.get({ name }) === undefined;
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (thrown) {
        this.#deps.log.error("a listener of the catalog failed", { error: toCtrlmeshError(thrown) });
      }
    }
  }
}

/** A group whose server is away keeps what it served: forgetting it would take its limits away. */
function keepUnknown(found: Discovery, before: readonly ServedResource[]): readonly ServedResource[] {
  const isUnknown = new Set(found.unknown);
  const known = new Set(found.resources.map(identity));
  const kept = before.filter(
    (each) => isUnknown.has(`${each.group}/${each.version}`) && !known.has(identity(each)),
  );
  return [...found.resources, ...kept];
}

/** A CRD is named `<resource>.<group>`. */
function crdName({ group, resource }: GroupResource): string {
  return `${resource}.${group}`;
}

function crdOf(name: string): GroupResource {
  const dot = name.indexOf(".");
  return { resource: name.slice(0, dot), group: name.slice(dot + 1) };
}

function identity({ group, version, resource, kind, namespaced, verbs, hasStatus }: ServedResource): string {
  return `${group}/${version}/${resource}/${kind}/${namespaced}/${hasStatus}/${[...verbs].sort().join("+")}`;
}

function isOf(line: LabelledKinds, { group, version }: ServedResource): boolean {
  return line.group === group && line.version === version;
}

function names(line: LabelledKinds, served: ServedResource): boolean {
  return isOf(line, served) && (line.kinds === "*" || line.kinds.includes(served.kind));
}
