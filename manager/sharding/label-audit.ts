import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { fieldManager } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { Informer, KubeClient } from "#kube/client/client";
import { runController } from "#kube/client/controller";
import { listAll } from "#kube/client/list-all";
import type { ReflectorDeps } from "#kube/client/reflector";
import { WorkQueue } from "#kube/client/work-queue";
import type { StampSettings } from "#webhook/stamp";
import type { ServedResource } from "./discovery.ts";
import type { Healing } from "./healing.ts";
import { kindName, labelDifference, labelPatch, namespacedKind, wantedLabels } from "./stamp.ts";

/** An object whose shard labels are not those of its namespace: it is routed to another shard than it belongs to. */
export interface WrongLabels {
  readonly kind: ServedResource;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The shard labels that it has. */
  readonly present: Readonly<Record<string, string>>;
  /** The shard labels of its namespace. */
  readonly wanted: Readonly<Record<string, string>>;
}

export interface LabelAudit extends AsyncDisposable {
  /** All that was found and is not corrected yet. */
  wrong(): readonly WrongLabels[];
  /**
   * Sets the right labels. For a shard this object leaves and for another one it appears, so the caller revokes
   * and grants around it where somebody holds it.
   *
   * @throws what `KubeClient.patch` throws, besides API_NOT_FOUND
   */
  correct(found: WrongLabels, signal: AbortSignal): Promise<void>;
  /** Audits a namespace next, for instance after its own labels were wrong. */
  auditSoon(namespace: string): void;
  /** Called after the set of wrong objects changed. */
  onChange(listener: () => void): Disposable;
}

export interface LabelAuditDeps extends ReflectorDeps {
  /** With a small pace of its own: the audit asks per namespace and kind, and nobody waits for it. */
  readonly client: KubeClient;
  readonly namespaces: Pick<Informer, "list" | "get">;
  readonly healing: Pick<Healing, "kinds">;
  readonly settings: StampSettings;
  /** From the end of one round over all namespaces to the next. Default an hour. */
  readonly roundPauseMs?: number;
}

const defaultRoundPauseMs = 3_600_000;
const roundKey = "\u0000round";

/**
 * Starts the slow audit. Copies, restores and edited labels carry buckets of other namespaces, which no selector
 * of the healing finds; here the server is asked per namespace for objects whose labels differ from its own, so
 * only wrong ones cross the wire.
 */
export function startLabelAudit(deps: LabelAuditDeps): LabelAudit {
  return new Audit(deps);
}

class Audit implements LabelAudit {
  readonly #deps: LabelAuditDeps;
  readonly #controller = new AbortController();
  readonly #queue: WorkQueue;
  readonly #running: Promise<void>;
  readonly #wrong = new Map<string, readonly WrongLabels[]>();
  readonly #listeners = new Set<() => void>();

  constructor(deps: LabelAuditDeps) {
    this.#deps = deps;
    this.#queue = new WorkQueue({ ...deps, retryPause: { minMs: 5_000, maxMs: 600_000 } });
    const { signal } = this.#controller;
    const { log } = deps;
    const reconcile = (key: string) => (key === roundKey ? this.#startRound() : this.#audit(key, signal));
    this.#running = runController({
      name: "label audit",
      queue: this.#queue,
      reconcile,
      workers: 1,
      signal,
      log,
    });
    this.#queue.add(roundKey);
  }

  wrong(): readonly WrongLabels[] {
    return [...this.#wrong.values()].flat();
  }

  async correct(found: WrongLabels, signal: AbortSignal): Promise<void> {
    const { namespace, name, kind, wanted } = found;
    const options = { signal, fieldManager, metadataOnly: true };
    try {
      await this.#deps.client.patch(namespacedKind(kind), { namespace, name }, labelPatch(wanted), options);
    } catch (failed) {
      if (!isApiError(failed, "API_NOT_FOUND")) throw failed;
    }
    const left = (this.#wrong.get(namespace) ?? []).filter((each) => each.uid !== found.uid);
    this.#set(namespace, left);
  }

  auditSoon(namespace: string): void {
    this.#queue.add(namespace);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new DOMException("the audit was closed", "AbortError"));
    this.#queue[Symbol.dispose]();
    await this.#running;
  }

  async #startRound() {
    const { namespaces, random, roundPauseMs = defaultRoundPauseMs } = this.#deps;
    for (const { metadata } of namespaces.list()) {
      if (metadata?.name !== undefined) this.#queue.add(metadata.name);
    }
    return { requeueAfterMs: roundPauseMs * (1 + 0.2 * random()) };
  }

  async #audit(namespace: string, signal: AbortSignal): Promise<undefined> {
    const { namespaces, settings, healing, log } = this.#deps;
    const wanted = wantedLabels(namespace, settings);
    if (namespaces.get({ name: namespace }) === undefined || Object.keys(wanted).length === 0) {
      this.#set(namespace, []);
      return;
    }
    const found: WrongLabels[] = [];
    for (const kind of healing.kinds()) {
      try {
        found.push(...(await this.#auditKind(kind, namespace, wanted, signal)));
      } catch (thrown) {
        signal.throwIfAborted();
        // One kind that can't be listed (its CRD just went, no right to it) must not hide the others.
        report(toCtrlmeshError(thrown), kind, namespace, this.#deps);
        const known = this.#wrong.get(namespace) ?? [];
        found.push(...known.filter((each) => kindName(each.kind) === kindName(kind)));
      }
    }
    if (found.length > 0) log.warn("objects with wrong shard labels", { namespace, count: found.length });
    this.#set(namespace, found);
  }

  /** Labelled objects that differ in one of the labels; unlabelled ones are the healing's. */
  async #auditKind(
    kind: ServedResource,
    namespace: string,
    wanted: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<readonly WrongLabels[]> {
    const { client, settings } = this.#deps;
    const { shardLabels } = settings;
    const found = new Map<string, WrongLabels>();
    for (const key of [shardLabels.hash, shardLabels.namespace]) {
      const labelSelector = `${shardLabels.hash},${key}!=${wanted[key] ?? ""}`;
      const query = { namespace, labelSelector, metadataOnly: true };
      const { objects } = await listAll(client, namespacedKind(kind), query, { signal });
      for (const object of objects) {
        const wrong = wrongLabels(object, kind, namespace, wanted);
        if (wrong !== undefined) found.set(wrong.uid, wrong);
      }
    }
    return [...found.values()];
  }

  #set(namespace: string, found: readonly WrongLabels[]): void {
    const before = this.#wrong.get(namespace) ?? [];
    if (found.length === 0) this.#wrong.delete(namespace);
    else this.#wrong.set(namespace, found);
    if (before.length === found.length && before.every(({ uid }, i) => uid === found[i]?.uid)) return;
    for (const listener of [...this.#listeners]) listener();
  }
}

function wrongLabels(
  object: KubernetesObject,
  kind: ServedResource,
  namespace: string,
  wanted: Readonly<Record<string, string>>,
): WrongLabels | undefined {
  const { name = "", uid = "", labels = {} } = object.metadata ?? {};
  if (labelDifference(labels, wanted) === undefined) return undefined;
  const present = Object.fromEntries(Object.entries(labels).filter(([key]) => key in wanted));
  return { kind, namespace, name, uid, present, wanted };
}

function report(
  error: CtrlmeshError,
  kind: ServedResource,
  namespace: string,
  { log }: LabelAuditDeps,
): void {
  log.info("labels could not be audited", { kind: kindName(kind), namespace, code: error.code });
}
