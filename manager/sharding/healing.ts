import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { fieldManager } from "#api/names";
import { apiStatusOf } from "#kube/client/api-error";
import type { KubeClient } from "#kube/client/client";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { StampSettings } from "#webhook/stamp";
import { AdaptiveGate } from "./adaptive-gate.ts";
import type { ServedResource } from "./discovery.ts";
import { type CoverageState, type HealOutcome, KindHealing } from "./kind-healing.ts";
import type { GroupResource } from "./resource-patterns.ts";
import { isLabelable, withCompanions } from "./resource-patterns.ts";
import type { ResourceCatalog } from "./resources.ts";
import { kindName, labelPatch, namespacedKind, wantedLabels } from "./stamp.ts";

export interface LabelCoverage {
  state(kind: GroupResource): CoverageState;
  /** Kinds that limits need labelled, besides those of the ConfigMap. Replaces the kinds of the call before. */
  want(kinds: readonly ServedResource[]): void;
  /** Called when a state changed; at most once per turn of the event loop. */
  onChange(listener: (kind: GroupResource) => void): Disposable;
}

export interface Healing extends LabelCoverage, AsyncDisposable {
  /** Kinds that are being labelled now. */
  kinds(): readonly ServedResource[];
  /** Called after `kinds` changed. */
  onKinds(listener: () => void): Disposable;
}

export interface HealingDeps extends ReflectorDeps {
  /** Without a rate limit of its own (`paced({ qps: 0 })`): the gate follows the server's answers. */
  readonly client: KubeClient;
  readonly catalog: Pick<ResourceCatalog, "namespacedLabelable" | "served" | "onChange">;
  readonly settings: StampSettings;
}

/** 64 connections reach 1,500 patches a second on a small API server and stay far below its 400 in flight. */
const concurrency = { min: 2, max: 64 };

/** Starts to label what the catalog and `want` name. */
export function startHealing(deps: HealingDeps): Healing {
  return new Healer(deps);
}

const notStarted: CoverageState = { complete: false, remaining: undefined, stuck: [] };

class Healer implements Healing {
  readonly #deps: HealingDeps;
  readonly #gate = new AdaptiveGate(concurrency);
  readonly #kinds = new Map<string, KindHealing>();
  readonly #ending = new Set<Promise<void>>();
  readonly #listeners = new Set<(kind: GroupResource) => void>();
  readonly #kindListeners = new Set<() => void>();
  readonly #catalogListener: Disposable;
  #wanted: readonly ServedResource[] = [];
  #disposed = false;

  constructor(deps: HealingDeps) {
    this.#deps = deps;
    this.#catalogListener = deps.catalog.onChange(() => this.#adjust());
    this.#adjust();
  }

  state(kind: GroupResource): CoverageState {
    return this.#kinds.get(kindName(kind))?.state() ?? notStarted;
  }

  kinds(): readonly ServedResource[] {
    return [...this.#kinds.values()].map(({ kind }) => kind);
  }

  want(kinds: readonly ServedResource[]): void {
    this.#wanted = kinds.filter(isLabelable);
    this.#adjust();
  }

  onChange(listener: (kind: GroupResource) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  onKinds(listener: () => void): Disposable {
    this.#kindListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#kindListeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#catalogListener[Symbol.dispose]();
    for (const [name, healing] of this.#kinds) this.#stop(name, healing);
    await Promise.all([...this.#ending]);
  }

  /** One healing per resource, whatever its version; a kind that stays keeps its state. */
  #adjust(): void {
    if (this.#disposed) return;
    const due = new Map<string, ServedResource>();
    const { catalog } = this.#deps;
    for (const kind of withCompanions(
      [...this.#wanted, ...catalog.namespacedLabelable()],
      catalog.served(),
    )) {
      if (!due.has(kindName(kind))) due.set(kindName(kind), kind);
    }
    const before = [...this.#kinds.values()];
    for (const [name, healing] of this.#kinds) {
      const kind = due.get(name);
      if (kind === undefined || kind.version !== healing.kind.version) this.#stop(name, healing);
    }
    for (const [name, kind] of due) {
      if (!this.#kinds.has(name)) this.#kinds.set(name, this.#start(kind));
    }
    const after = [...this.#kinds.values()];
    if (before.length === after.length && after.every((each) => before.includes(each))) return;
    for (const listener of [...this.#kindListeners]) listener();
  }

  #start(kind: ServedResource): KindHealing {
    return new KindHealing({
      ...this.#deps,
      kind,
      heal: (namespace, name, signal) => this.#heal(kind, namespace, name, signal),
      onChange: () => {
        for (const listener of [...this.#listeners]) listener(kind);
      },
    });
  }

  #stop(name: string, healing: KindHealing): void {
    this.#kinds.delete(name);
    const ended = healing[Symbol.asyncDispose]().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** Sets the labels of one object; the result says what became of it. */
  async #heal(
    kind: ServedResource,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<HealOutcome> {
    const labels = wantedLabels(namespace, this.#deps.settings);
    try {
      await this.#gate.run((onThrottle) =>
        this.#deps.client.patch(namespacedKind(kind), { namespace, name }, labelPatch(labels), {
          signal,
          onThrottle,
          fieldManager,
          metadataOnly: true,
        }),
      );
      return { kind: "labelled" };
    } catch (thrown) {
      signal.throwIfAborted();
      return outcomeOf(toCtrlmeshError(thrown));
    }
  }
}

function outcomeOf(error: CtrlmeshError): HealOutcome {
  if (error.code === "API_NOT_FOUND") return { kind: "gone" };
  const status = apiStatusOf(error)?.httpStatus ?? 0;
  const isRefusal = status >= 400 && status < 500 && status !== 409 && status !== 429;
  return isRefusal ? { kind: "refused", error } : { kind: "later", error };
}
