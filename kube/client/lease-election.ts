import { randomUUID } from "node:crypto";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { isApiError } from "./api-error.ts";
import type { KubeClient, ObjectName, ResourceKind } from "./client.ts";
import { deadline } from "./deadline.ts";
import { type LeaseSpec, leaseSpecOf, microTime } from "./lease-spec.ts";

export const leaseKind: ResourceKind = {
  group: "coordination.k8s.io",
  version: "v1",
  resource: "leases",
  namespaced: true,
};

export interface ElectionOptions {
  readonly lease: Required<ObjectName>;
  /** Unique per process, see `electionIdentity`. */
  readonly identity: string;
  /**
   * Runs while we lead. Its signal aborts before another can take the lease; the promise is awaited before the
   * lease is given back, so what it started must end with it. Returning ends the candidacy. `term` is greater
   * than that of every leadership before (the Lease's `leaseTransitions`).
   */
  readonly onLeading: (signal: AbortSignal, term: number) => Promise<void>;
  /** Told the holder's identity each time that another one is seen. */
  readonly onHolder?: (identity: string) => void;
  readonly signal: AbortSignal;
  /** client-go's defaults: 15 s, 10 s, 2 s. */
  readonly timing?: ElectionTiming;
}

export interface ElectionTiming {
  /** Others wait this long after the last renewal that they saw. */
  readonly leaseMs: number;
  /** The leader gives up this long after its last successful renewal was sent. Shorter than `leaseMs`. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

export interface ElectionDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

const defaultTiming: ElectionTiming = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
/** client-go spreads the candidates' tries by up to 120 % of the period. */
const jitterShare = 1.2;

/** `<pod>_<uuid>`: a restarted process is not mistaken for the one before it. */
export function electionIdentity(pod: string): string {
  return `${pod}_${randomUUID()}`;
}

/**
 * Takes part in a leader election over a Lease until the signal aborts or `onLeading` returns. After a lost
 * leadership it is a candidate again. Clocks of other machines never count: a holder is expired when we have
 * watched its record unchanged for the lease's duration on our own monotonic clock, and every change is a
 * compare-and-swap on the resourceVersion. Two leaders at once would need a renewal of the first one to take
 * effect while its signal has long aborted; what leaders write carries the term as fence against that.
 */
export async function runElection(options: ElectionOptions, deps: ElectionDeps): Promise<void> {
  const candidate = new Candidate(options, deps);
  while (!options.signal.aborted) {
    if (!(await candidate.acquire())) return;
    if (!(await candidate.lead())) return;
  }
}

interface Observed {
  readonly object: KubernetesObject;
  readonly spec: LeaseSpec;
  /** Monotonic time at which this record was first seen. */
  readonly atMs: number;
}

class Candidate {
  readonly #options: ElectionOptions;
  readonly #deps: ElectionDeps;
  readonly #timing: ElectionTiming;
  #observed: Observed | undefined;
  #holder: string | undefined;
  /** Monotonic time before the request that last wrote us into the lease. */
  #heldSinceMs = 0;

  constructor(options: ElectionOptions, deps: ElectionDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#timing = options.timing ?? defaultTiming;
  }

  /** Resolves true as leader, false when the signal aborted. */
  async acquire(): Promise<boolean> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      if ((await this.#tryInTime("acquire", this.#timing.renewDeadlineMs, signal)) === "held") return true;
      const pauseMs = this.#timing.retryMs * (1 + jitterShare * this.#deps.random());
      await this.#deps.clock.sleep(pauseMs, signal).catch(() => undefined);
    }
    return false;
  }

  /** Leads until the lease is lost (true: be a candidate again) or the work ended or we shall stop (false). */
  async lead(): Promise<boolean> {
    const { lease, identity, signal, onLeading } = this.#options;
    const { log } = this.#deps;
    const term = this.#observed?.spec.leaseTransitions ?? 0;
    log.info("leading", { lease: lease.name, namespace: lease.namespace, identity, term });
    const lost = new AbortController();
    const ended = new AbortController();
    const renewing = this.#renewUntilLost(lost, ended.signal);
    const leading = AbortSignal.any([signal, lost.signal]);
    try {
      await onLeading(leading, term);
    } catch (thrown) {
      // A work that ends because its signal aborted is no failure.
      if (!leading.aborted) throw thrown;
    } finally {
      // Until here the lease is renewed, also during a shutdown: the work may still be writing.
      ended.abort();
      await renewing;
      await this.#release();
    }
    log.info(lost.signal.aborted ? "leadership lost" : "leadership ended", { lease: lease.name, term });
    return lost.signal.aborted && !signal.aborted;
  }

  /** Renews each `retryMs`; aborts `lost` when the last success was sent `renewDeadlineMs` ago. */
  async #renewUntilLost(lost: AbortController, ended: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const { renewDeadlineMs, retryMs } = this.#timing;
    while (!ended.aborted) {
      const leftMs = this.#heldSinceMs + renewDeadlineMs - clock.monotonicMs();
      await clock.sleep(Math.max(0, Math.min(retryMs, leftMs)), ended).catch(() => undefined);
      if (ended.aborted) return;
      const outcome = await this.#tryInTime("renew", leftMs - Math.min(retryMs, leftMs), ended);
      if (ended.aborted) return;
      const expired = clock.monotonicMs() >= this.#heldSinceMs + renewDeadlineMs;
      if (outcome !== "taken" && !expired) continue;
      const what =
        outcome === "taken" ? "the lease was taken by another" : "the lease was not renewed in time";
      lost.abort(new CtrlmeshError("LEADERSHIP_LOST", { what }));
      return;
    }
  }

  /** One try with a time limit; errors are told in the log. */
  async #tryInTime(
    purpose: "acquire" | "renew",
    limitMs: number,
    stop: AbortSignal,
  ): Promise<"held" | "taken" | "failed"> {
    if (limitMs <= 0) return "failed";
    using limit = deadline(limitMs, "the lease was not answered in time", this.#deps.clock, stop);
    limit.arm();
    try {
      if (!(await this.#tryHold(purpose, limit.signal))) return "taken";
      // An answer so late that others may already see the lease as expired gives nothing.
      const age = this.#deps.clock.monotonicMs() - this.#heldSinceMs;
      return age < this.#timing.renewDeadlineMs ? "held" : "failed";
    } catch (thrown) {
      if (!stop.aborted) this.#reportFailure(toCtrlmeshError(thrown));
      return "failed";
    }
  }

  /**
   * Creates, takes or renews the lease. False: another one holds it. To renew it must still be ours: one that
   * was freed or deleted may have been led by another in between.
   */
  async #tryHold(purpose: "acquire" | "renew", signal: AbortSignal): Promise<boolean> {
    const { lease, identity } = this.#options;
    const { client, clock } = this.#deps;
    const stored = await client.get(leaseKind, lease, { signal }).catch((thrown: unknown) => {
      if (isApiError(thrown, "API_NOT_FOUND")) return undefined;
      throw thrown;
    });
    const observed = stored === undefined ? undefined : this.#observe(stored);
    const isOurs = observed?.spec.holderIdentity === identity;
    if (purpose === "renew" && !isOurs) return false;
    if (observed !== undefined && !isOurs && !this.#isFree(observed)) return false;
    // Counted from before the request: it may be stored long before its answer comes.
    const sentMs = clock.monotonicMs();
    const spec = this.#nextSpec(purpose, observed?.spec);
    const next = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      ...(stored ?? { metadata: { name: lease.name, namespace: lease.namespace } }),
      spec: { ...(stored === undefined ? {} : specRecord(stored)), ...spec },
    };
    const written =
      stored === undefined
        ? await client.create(leaseKind, next, { signal })
        : await client.update(leaseKind, next, { signal });
    this.#heldSinceMs = sentMs;
    this.#observe(written);
    return true;
  }

  #isFree({ spec, atMs }: Observed): boolean {
    if (spec.holderIdentity === "") return true;
    // A holder with a longer lease than ours is given its own time.
    const leaseMs = Math.max(this.#timing.leaseMs, (spec.leaseDurationSeconds ?? 0) * 1000);
    return this.#deps.clock.monotonicMs() - atMs >= leaseMs;
  }

  #nextSpec(purpose: "acquire" | "renew", previous: LeaseSpec | undefined): LeaseSpec {
    const now = this.#deps.clock.now();
    const renews = purpose === "renew" && previous !== undefined;
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#timing.leaseMs / 1000),
      acquireTime: renews ? previous.acquireTime : microTime(now),
      renewTime: microTime(now),
      leaseTransitions: renews ? previous.leaseTransitions : nextTerm(previous, now),
    };
  }

  /** Keeps the first sight of each record: only a changed record starts its time anew. */
  #observe(object: KubernetesObject): Observed {
    const known = this.#observed;
    if (known?.object.metadata?.resourceVersion === object.metadata?.resourceVersion && known !== undefined) {
      return known;
    }
    const spec = leaseSpecOf(object);
    this.#observed = { object, spec, atMs: this.#deps.clock.monotonicMs() };
    if (spec.holderIdentity !== this.#holder) {
      this.#holder = spec.holderIdentity;
      this.#options.onHolder?.(spec.holderIdentity);
    }
    return this.#observed;
  }

  /** Gives the lease back so that the next one need not wait; a failure only costs that time. */
  async #release(): Promise<void> {
    const observed = this.#observed;
    if (observed === undefined || observed.spec.holderIdentity !== this.#options.identity) return;
    const now = microTime(this.#deps.clock.now());
    const spec = { ...observed.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: now };
    const { lease } = this.#options;
    const never = new AbortController().signal; // the caller's has aborted when it shuts down
    using limit = deadline(
      this.#timing.renewDeadlineMs,
      "the lease was not given back",
      this.#deps.clock,
      never,
    );
    limit.arm();
    try {
      const next = { ...observed.object, spec: { ...specRecord(observed.object), ...spec } };
      // Compare-and-swap: if another one holds it by now, the server refuses.
      this.#observe(await this.#deps.client.update(leaseKind, next, { signal: limit.signal }));
      this.#deps.log.debug("lease given back", { lease: lease.name });
    } catch (thrown) {
      this.#reportFailure(toCtrlmeshError(thrown));
    }
  }

  #reportFailure(error: CtrlmeshError): void {
    const { lease } = this.#options;
    // Two candidates at the same moment: one of them loses, as it should be.
    if (error.code === "API_CONFLICT")
      this.#deps.log.debug("lease was changed by another", { lease: lease.name });
    else this.#deps.log.warn("lease could not be read or written", { lease: lease.name, error });
  }
}

/**
 * The term of a new leadership grows with each one, also when the same process comes back. A lease that was
 * deleted starts from the seconds since 2020, beyond any number of changes of hands that it had.
 */
function nextTerm(previous: LeaseSpec | undefined, nowMs: number): number {
  if (previous !== undefined) return previous.leaseTransitions + 1;
  return Math.floor((nowMs - Date.UTC(2020, 0, 1)) / 1000);
}

function specRecord(object: KubernetesObject): object {
  return typeof object.spec === "object" && object.spec !== null ? object.spec : {};
}
