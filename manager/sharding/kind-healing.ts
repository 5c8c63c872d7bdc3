import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { KubeClient } from "#kube/client/client";
import { type ReflectorDeps, type ReflectorSink, reflect } from "#kube/client/reflector";
import { keyOf, nameOf } from "#kube/client/resource-path";
import { WorkQueue } from "#kube/client/work-queue";
import type { StampSettings } from "#webhook/stamp";
import type { ServedResource } from "./discovery.ts";
import { kindName, namespacedKind, trimToLabels } from "./stamp.ts";

export interface StuckObject {
  readonly namespace: string;
  readonly name: string;
  /** The API server's words. */
  readonly reason: string;
}

/** How far the labels of a kind are. */
export interface CoverageState {
  /**
   * A consistent list of unlabelled objects outside exempt namespaces was empty at a moment after the kind was
   * first wanted. Stays true: objects that lose their labels later are healed, and counted in `remaining`.
   */
  readonly complete: boolean;
  /** Unlabelled objects now, stuck ones included; undefined until the first list. */
  readonly remaining: number | undefined;
  /** Objects that refuse the labels. */
  readonly stuck: readonly StuckObject[];
}

export type HealOutcome =
  | { readonly kind: "labelled" | "gone" }
  | { readonly kind: "later"; readonly error: CtrlmeshError }
  /** The object or an admission rule refuses it: the same patch would be refused again. */
  | { readonly kind: "refused"; readonly error: CtrlmeshError };

export interface KindHealingDeps extends ReflectorDeps {
  readonly client: KubeClient;
  readonly settings: StampSettings;
  readonly kind: ServedResource;
  readonly heal: (namespace: string, name: string, signal: AbortSignal) => Promise<HealOutcome>;
  readonly onChange: () => void;
}

/** More wait in the gate that all kinds share; this many are handed to it. */
const workers = 64;
/**
 * An object that refuses is asked again now and then, since the rule or the missing right may be gone: all of a kind
 * together about twice a second, so that many of them do not keep the server busy for nothing.
 */
const stuckPause = { minMs: 5_000, perStuckMs: 500, maxMs: 300_000 };
/** One that stops to refuse speaks for the others: so many of them are asked at once. */
const stuckBatch = 16;
const confirmRetryMs = 2_000;
/** Named in conditions; more would not help to find the cause. */
const stuckLimit = 100;

/**
 * Labels all objects of one kind: follows those without the label (only they cross the wire), patches each, and
 * sees it leave the selection. Starts where an earlier run stopped by itself, since what is labelled is not
 * selected any more.
 */
export class KindHealing implements ReflectorSink, AsyncDisposable {
  readonly #deps: KindHealingDeps;
  readonly #controller = new AbortController();
  readonly #queue: WorkQueue;
  /** Unlabelled objects outside exempt namespaces. */
  readonly #unlabelled = new Set<string>();
  readonly #stuck = new Map<string, string>();
  readonly #running: Promise<unknown>;
  readonly #selection;
  #listed = false;
  #complete = false;
  #confirming = false;
  #telling = false;

  constructor(deps: KindHealingDeps) {
    this.#deps = deps;
    const { settings, kind, client } = deps;
    this.#queue = new WorkQueue(deps);
    const exempt = settings.exemptNamespaces.map((name) => `metadata.namespace!=${name}`);
    this.#selection = {
      kind: namespacedKind(kind),
      labelSelector: `!${settings.shardLabels.hash}`,
      ...(exempt.length === 0 ? {} : { fieldSelector: exempt.join(",") }),
      metadataOnly: true,
      trim: trimToLabels,
    };
    const { signal } = this.#controller;
    const following = reflect(client, this.#selection, this, { ...deps, signal });
    this.#running = Promise.all([following, ...Array.from({ length: workers }, () => this.#work(signal))]);
  }

  get kind(): ServedResource {
    return this.#deps.kind;
  }

  state(): CoverageState {
    const stuck = [...this.#stuck].slice(0, stuckLimit).map(([key, reason]) => {
      const { namespace = "", name } = nameOf(key);
      return { namespace, name, reason };
    });
    return { complete: this.#complete, remaining: this.#listed ? this.#unlabelled.size : undefined, stuck };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new DOMException("the kind is no longer labelled", "AbortError"));
    this.#queue[Symbol.dispose]();
    await this.#running;
  }

  replace(objects: readonly KubernetesObject[]): void {
    this.#unlabelled.clear();
    for (const object of objects) this.#found(object);
    for (const key of this.#stuck.keys()) if (!this.#unlabelled.has(key)) this.#stuck.delete(key);
    this.#listed = true;
    const { log, kind } = this.#deps;
    log.info("unlabelled objects were listed", { kind: kindName(kind), remaining: this.#unlabelled.size });
    // The list was consistent and began after the kind was wanted.
    if (this.#unlabelled.size === 0) this.#complete = true;
    this.#tell();
  }

  apply(event: { readonly type: string; readonly object: KubernetesObject }): void {
    if (event.type === "DELETED") {
      this.#left(objectKey(event.object));
      return;
    }
    this.#found(event.object);
    this.#tell();
  }

  #found(object: KubernetesObject): void {
    const namespace = object.metadata?.namespace ?? "";
    if (namespace === "" || this.#deps.settings.exemptNamespaces.includes(namespace)) return;
    const key = objectKey(object);
    this.#unlabelled.add(key);
    this.#queue.add(key);
  }

  /** It has the label now, or it is gone. */
  #left(key: string): void {
    this.#unlabelled.delete(key);
    this.#stuck.delete(key);
    this.#queue.forget(key);
    if (this.#unlabelled.size === 0) void this.#confirm();
    this.#tell();
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const key = await this.#queue.take(signal).catch(() => undefined);
      if (key === undefined) return;
      try {
        if (this.#unlabelled.has(key)) await this.#healOne(key, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        this.#deps.log.error("labelling failed", {
          kind: kindName(this.kind),
          error: toCtrlmeshError(thrown),
        });
        this.#queue.retry(key);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  async #healOne(key: string, signal: AbortSignal): Promise<void> {
    const { namespace = "", name } = nameOf(key);
    // Asked first: the watch may tell of the label before the patch is answered.
    const wasStuck = this.#stuck.has(key);
    const outcome = await this.#deps.heal(namespace, name, signal);
    switch (outcome.kind) {
      case "labelled": {
        this.#left(key);
        if (wasStuck)
          for (const other of [...this.#stuck.keys()].slice(0, stuckBatch)) this.#queue.add(other);
        return;
      }
      case "gone":
        this.#left(key);
        return;
      case "later":
        this.#queue.retry(key);
        return;
      case "refused":
        this.#keepStuck(key, outcome.error.message);
    }
  }

  #keepStuck(key: string, reason: string): void {
    const isNews = this.#stuck.get(key) !== reason;
    this.#stuck.set(key, reason);
    const { minMs, perStuckMs, maxMs } = stuckPause;
    this.#queue.addAfter(key, Math.min(maxMs, Math.max(minMs, this.#stuck.size * perStuckMs)));
    if (!isNews) return;
    const { namespace = "", name } = nameOf(key);
    this.#deps.log.warn("object refuses its shard labels", {
      kind: kindName(this.kind),
      namespace,
      name,
      reason,
    });
    this.#tell();
  }

  /** All known ones are labelled: asks consistently whether that is all, since our watch may be behind. */
  async #confirm(): Promise<void> {
    if (this.#complete || this.#confirming || !this.#listed) return;
    this.#confirming = true;
    const { client, clock } = this.#deps;
    const { signal } = this.#controller;
    const { kind, trim: _, ...filter } = this.#selection;
    try {
      while (!this.#complete && this.#unlabelled.size === 0) {
        const page = await client.list(kind, { ...filter, limit: 1 }, { signal });
        if (page.items.length === 0 && page.continueToken === undefined) this.#complete = true;
        else await clock.sleep(confirmRetryMs, signal);
      }
    } catch (thrown) {
      if (!signal.aborted) this.#confirmLater(thrown);
    } finally {
      this.#confirming = false;
      this.#tell();
    }
  }

  #confirmLater(thrown: unknown): void {
    const { clock, log } = this.#deps;
    log.info("labels could not be confirmed yet", { error: toCtrlmeshError(thrown) });
    clock.timer(confirmRetryMs, () => {
      if (!this.#controller.signal.aborted && this.#unlabelled.size === 0) void this.#confirm();
    });
  }

  /** Thousands of patches in a row are one change for those who draw progress. */
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      if (!this.#controller.signal.aborted) this.#deps.onChange();
    });
  }
}

function objectKey({ metadata = {} }: KubernetesObject): string {
  const { name = "", namespace } = metadata;
  return keyOf(namespace === undefined ? { name } : { namespace, name });
}
