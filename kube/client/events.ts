import { createHash } from "node:crypto";
import { toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { isApiError } from "./api-error.ts";
import type { KubeClient, ResourceKind } from "./client.ts";
import { microTime } from "./lease-spec.ts";
import { WorkQueue } from "./work-queue.ts";

export const eventKind: ResourceKind = {
  group: "events.k8s.io",
  version: "v1",
  resource: "events",
  namespaced: true,
};

/** What an event tells. `reason` and `action` are CamelCase words, `note` is for people. */
export interface Happening {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

export interface EventRecorderDeps {
  /** With a pace of its own: events are the first thing to give up when the server is busy. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** `reportingController`, a qualified name. */
  readonly controller: string;
  /** `reportingInstance`: the pod. */
  readonly instance: string;
  readonly signal: AbortSignal;
}

/** Repetitions of one event are written together at most this often. */
const seriesPauseMs = 60_000;
/** client-go's limit: later the same thing is a new event. */
const seriesEndMs = 6 * 60_000;
/** Events wait in memory while the server is away; more would tell nobody anything. */
const keyLimit = 1000;
const attemptLimit = 5;
/** The API's limit for `note`, bytes. */
const noteLimit = 1024;

interface Series {
  readonly key: string;
  readonly object: KubernetesObject;
  readonly namespace: string;
  readonly name: string;
  note: string;
  /** Occurrences, the first one included. */
  count: number;
  writtenCount: number;
  lastMs: number;
  attempts: number;
}

/**
 * Writes Kubernetes events in the background; recording never waits and never fails. The same reason and action on
 * the same object become one event with a series. When more than 1000 are unwritten, further ones are dropped
 * with a line in the log.
 */
export class EventRecorder {
  readonly #deps: EventRecorderDeps;
  readonly #queue: WorkQueue;
  readonly #series = new Map<string, Series>();
  readonly #running: Promise<void>;

  constructor(deps: EventRecorderDeps) {
    this.#deps = deps;
    this.#queue = new WorkQueue({ ...deps, retryPause: { minMs: 1000, maxMs: 30_000 } });
    this.#running = this.#write();
  }

  record(regarding: KubernetesObject, happening: Happening): void {
    const nowMs = this.#deps.clock.now();
    const { namespace = "default", uid = "", name = "" } = regarding.metadata ?? {};
    const { type, reason, action } = happening;
    const key = [regarding.kind, namespace, name, uid, type, reason, action].join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < seriesEndMs) {
      known.count += 1;
      known.lastMs = nowMs;
      known.note = happening.note;
      this.#queue.addAfter(key, seriesPauseMs);
      return;
    }
    this.#forgetEnded(nowMs);
    if (this.#series.size >= keyLimit) {
      this.#deps.log.warn("event dropped, too many are unwritten", { reason, kind: regarding.kind, name });
      return;
    }
    this.#series.set(key, { ...this.#begin(regarding, happening, nowMs, namespace), key });
    this.#queue.add(key);
  }

  /** Resolves when the signal has ended the writer. */
  async ended(): Promise<void> {
    await this.#running;
  }

  #begin(
    regarding: KubernetesObject,
    happening: Happening,
    nowMs: number,
    namespace: string,
  ): Omit<Series, "key"> {
    const { name: regardingName = "", uid = "", resourceVersion } = regarding.metadata ?? {};
    const digest = createHash("sha256")
      .update(`${uid}/${happening.reason}/${happening.action}/${nowMs}/${this.#deps.random()}`)
      .digest("hex");
    const name = `${regardingName.slice(0, 200)}.${digest.slice(0, 16)}`;
    const object: KubernetesObject = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name, namespace },
      eventTime: microTime(nowMs),
      reportingController: this.#deps.controller,
      reportingInstance: this.#deps.instance.slice(0, 128),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name: regardingName,
        ...(regarding.metadata?.namespace === undefined ? {} : { namespace }),
        ...(uid === "" ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type: happening.type,
      reason: happening.reason.slice(0, 128),
      action: happening.action.slice(0, 128),
    };
    const { note } = happening;
    return { object, namespace, name, note, count: 1, writtenCount: 0, lastMs: nowMs, attempts: 0 };
  }

  #forgetEnded(nowMs: number): void {
    for (const [key, series] of this.#series) {
      const unwritten = series.count > series.writtenCount && series.attempts < attemptLimit;
      if (!unwritten && nowMs - series.lastMs >= seriesEndMs) this.#series.delete(key);
    }
  }

  async #write(): Promise<void> {
    const { signal, log } = this.#deps;
    using queue = this.#queue;
    while (!signal.aborted) {
      const key = await queue.take(signal).catch(() => undefined);
      const series = key === undefined ? undefined : this.#series.get(key);
      if (key === undefined) return;
      try {
        if (series !== undefined) await this.#writeOne(series);
        queue.forget(key);
      } catch (thrown) {
        if (signal.aborted) return;
        this.#afterFailure(key, series, thrown, log);
      } finally {
        queue.done(key);
      }
    }
  }

  #afterFailure(key: string, series: Series | undefined, thrown: unknown, log: Log): void {
    const error = toCtrlmeshError(thrown);
    const isLater = error.code === "API_UNREACHABLE" || error.code === "API_REQUEST_FAILED";
    if (series !== undefined && isLater && ++series.attempts < attemptLimit) {
      this.#queue.retry(key);
      return;
    }
    this.#series.delete(key);
    this.#queue.forget(key);
    // A namespace that is being deleted refuses events; the log is where they end.
    log.info("event could not be written", { reason: series?.object.reason, error });
  }

  async #writeOne(series: Series): Promise<void> {
    const { client, signal } = this.#deps;
    const { count, note } = series;
    if (count === series.writtenCount) return;
    const text = clip(note);
    if (series.writtenCount === 0) {
      const repeated = count > 1 ? { series: seriesOf(series) } : {};
      await client.create(eventKind, { ...series.object, note: text, ...repeated }, { signal });
    } else {
      const body = { note: text, series: seriesOf(series) };
      const { namespace, name } = series;
      try {
        await client.patch(eventKind, { namespace, name }, { type: "merge", body }, { signal });
      } catch (thrown) {
        // Events live for an hour; a series can outlive its object.
        if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
        series.writtenCount = 0;
        await client.create(eventKind, { ...series.object, ...body }, { signal });
      }
    }
    series.writtenCount = count;
    series.attempts = 0;
    if (series.count > count) this.#queue.addAfter(series.key, seriesPauseMs);
  }
}

function seriesOf({ count, lastMs }: Series) {
  return { count, lastObservedTime: microTime(lastMs) };
}

/** Cuts a text to the API's limit of 1024 bytes without splitting a character. */
function clip(note: string): string {
  const bytes = Buffer.from(note, "utf8");
  if (bytes.length <= noteLimit) return note;
  return `${bytes
    .subarray(0, noteLimit - 4)
    .toString("utf8")
    .replace(/\uFFFD+$/, "")}…`;
}
