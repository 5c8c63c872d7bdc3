import { setTimeout as wait } from "node:timers/promises";
import { eventually } from "../flow/eventually.ts";
import { viewAt } from "./load/scene.ts";
import { LoadProcess } from "./load-process.ts";
import type { SoakOptions } from "./options.ts";
import { answersWithin } from "./readiness.ts";
import type { Mark, Sample, SoakRecord } from "./record.ts";
import { Stage } from "./stage.ts";

const sampleSeconds = 5;
const progressSeconds = 30;
const bytesPerMiB = 1024 * 1024;

/** What is done to the proxy, and when: first after `from` seconds, then at each interval. */
const timetable = {
  restart: { from: 70, each: 120 },
  rest: { from: 20, each: 60 },
  token: { from: 45, each: 60 },
  cut: { from: 15, each: 47 },
  away: { from: 100, each: 180 },
} as const;
const awaySeconds = 20;
/** Of 15 s each. */
const ackAttempts = 4;
/** Without an answer for this long, the API server counts as stalled. */
const stallMs = 3_000;
const seenGoneWithinMs = 30_000;

export type SoakOutcome = Pick<SoakRecord, "samples" | "marks" | "snapshots" | "load" | "failure">;

/** One soak from its beginning to its end. */
export class Soak {
  readonly #stage: Stage;
  readonly #load: LoadProcess;
  readonly #samples: Sample[] = [];
  readonly #marks: Mark[] = [];
  readonly #endSeconds: number;
  readonly #startMs = performance.now();
  readonly #stop = new AbortController();
  /** One after the other: no rest while the API server is away. */
  #turn: Promise<void> = Promise.resolve();
  #snapshots = 0;
  #isManagerAway = false;
  #isResting = false;
  #isApiServerAway = false;
  #isApiServerStalled = false;

  private constructor(stage: Stage, load: LoadProcess, minutes: number) {
    this.#stage = stage;
    this.#load = load;
    this.#endSeconds = minutes * 60;
  }

  /** @throws Error when the proxy or what it needs breaks; what the load finds wrong is in the outcome */
  static async run(options: SoakOptions, signal: AbortSignal): Promise<SoakOutcome> {
    await using stage = await Stage.set(viewAt(0), options.preloads);
    await using load = new LoadProcess();
    const { endpoint } = stage.proxy;
    await load.order({ kind: "view sent", view: viewAt(0) });
    await load.order({ kind: "view acked" });
    const token = await stage.rotateToken();
    const { seed, requestsPerSecond, watches, downstream, minutes } = options;
    const caPem = stage.manager.authority.certificatePem;
    const { port } = endpoint;
    await load.order({
      kind: "start",
      settings: { port, caPem, token, seed, requestsPerSecond, watches, downstream },
    });
    return await new Soak(stage, load, minutes).#run(signal);
  }

  async #run(signal: AbortSignal): Promise<SoakOutcome> {
    let failure: string | undefined;
    signal.addEventListener("abort", () => this.#stop.abort(), { once: true });
    try {
      await this.#disturb();
      await this.#alone(() => this.#rest());
      if (signal.aborted) failure = "interrupted";
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    const load = await this.#load.order({ kind: "report" });
    return { samples: this.#samples, marks: this.#marks, snapshots: this.#snapshots, load, failure };
  }

  async #disturb(): Promise<void> {
    const { restart, rest, token, cut, away } = timetable;
    await Promise.all([
      this.#each({ from: 1, each: 1 }, () => this.#switchView()),
      this.#each({ from: 1, each: 1 }, () => this.#watchApiServer()),
      this.#each({ from: sampleSeconds, each: sampleSeconds }, () => this.#sample()),
      this.#each({ from: progressSeconds, each: progressSeconds }, () => this.#printProgress()),
      this.#each(restart, () => this.#alone(() => this.#restartApiServer())),
      this.#each(rest, () => this.#alone(() => this.#rest())),
      this.#each(token, () => this.#alone(() => this.#rotateToken())),
      this.#each(cut, () => this.#cutControlStream()),
      this.#each(away, () => this.#leaveManagerAway()),
    ]);
  }

  get #seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  /** Until the soak's time is over; the first failure ends all. */
  async #each({ from, each }: { from: number; each: number }, act: () => Promise<void>): Promise<void> {
    try {
      for (let atSeconds = from; atSeconds < this.#endSeconds; ) {
        await wait(Math.max(0, atSeconds - this.#seconds) * 1000, undefined, { signal: this.#stop.signal });
        await act();
        atSeconds = Math.max(atSeconds + each, this.#seconds);
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#stop.abort();
      throw error;
    }
  }

  async #alone(act: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    const own = Promise.withResolvers<void>();
    this.#turn = own.promise;
    await before;
    try {
      await act();
    } finally {
      own.resolve();
    }
  }

  async #switchView(): Promise<void> {
    if (this.#isManagerAway) return;
    const view = viewAt(++this.#snapshots);
    await this.#load.order({ kind: "view sent", view });
    await this.#acked(() => this.#stage.show(view));
    await this.#load.order({ kind: "view acked" });
  }

  /** On a machine with much else to do, an ack or the way back to the manager may take its time. */
  async #acked(show: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await (attempt === 1 ? show() : this.#stage.manager.acked());
        return;
      } catch (error) {
        this.#mark("late ack");
        if (attempt === ackAttempts) throw error;
      }
    }
  }

  async #sample(): Promise<void> {
    if (!this.#isResting) await this.#measure(false);
  }

  async #measure(isAtRest: boolean): Promise<void> {
    const figures = await this.#stage.probe.measure();
    // A rest that began meanwhile would make it neither.
    if (isAtRest === this.#isResting)
      this.#samples.push({ atSeconds: Math.round(this.#seconds * 10) / 10, isAtRest, ...figures });
  }

  /** All clients go away, and what stays is what a leak left. */
  async #rest(): Promise<void> {
    this.#isResting = true;
    await this.#load.order({ kind: "rest" });
    await this.#clientsGone();
    await this.#measure(true);
    await this.#load.order({ kind: "go on" });
    this.#isResting = false;
  }

  /** A connection that never goes is a socket that stays: the samples tell, and the soak goes on. */
  async #clientsGone(): Promise<void> {
    const { adminPort } = this.#stage.proxy.endpoint;
    let open = "";
    const areGone = async (): Promise<boolean> => {
      const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
      open = /^ctrlmesh_proxy_connections_open (\d+)$/m.exec(page)?.[1] ?? "";
      return open === "0";
    };
    try {
      await eventually("the proxy has seen all its clients go", areGone, { withinMs: seenGoneWithinMs });
    } catch {
      this.#mark(`${open} connections left at rest`);
    }
  }

  async #restartApiServer(): Promise<void> {
    this.#mark("restart of the API server");
    this.#isApiServerAway = true;
    await this.#load.order({ kind: "outage begins", agoMs: 0 });
    await this.#stage.plane.restartApiServer();
    await this.#load.order({ kind: "outage ends" });
    this.#isApiServerAway = false;
    this.#isApiServerStalled = false;
  }

  /** When the API server does not even answer us in time, the proxy is not to blame for what its clients see. */
  async #watchApiServer(): Promise<void> {
    const isAnswering = await answersWithin(this.#stage.plane, stallMs);
    if (this.#isApiServerAway || isAnswering !== this.#isApiServerStalled) return;
    this.#isApiServerStalled = !isAnswering;
    if (isAnswering) await this.#load.order({ kind: "outage ends" });
    else {
      this.#mark("API server answers nobody");
      await this.#load.order({ kind: "outage begins", agoMs: 2 * stallMs });
    }
  }

  async #rotateToken(): Promise<void> {
    const token = await this.#stage.rotateToken();
    await this.#load.order({ kind: "token", token });
  }

  async #cutControlStream(): Promise<void> {
    this.#mark("control stream cut");
    this.#stage.relay.cut();
  }

  async #leaveManagerAway(): Promise<void> {
    this.#mark("manager away for 20 s");
    this.#isManagerAway = true;
    await this.#acked(() => this.#stage.manager.acked());
    this.#stage.relay.isAway = true;
    await wait(awaySeconds * 1000, undefined, { signal: this.#stop.signal });
    this.#stage.relay.isAway = false;
    this.#isManagerAway = false;
  }

  #mark(what: string): void {
    this.#marks.push({ atSeconds: Math.round(this.#seconds), what });
  }

  async #printProgress(): Promise<void> {
    const { requests, watchesOpen, violations, firstViolations } = await this.#load.order({ kind: "report" });
    const last = this.#samples.at(-1);
    if (last === undefined) return;
    const mib = (bytes: number): string => (bytes / bytesPerMiB).toFixed(2);
    const memory = `heap ${mib(last.heapBytes)} MiB, RSS ${mib(last.rssBytes)} MiB, ${last.sockets} sockets`;
    const done = `${requests} requests, ${watchesOpen} watches, ${this.#snapshots} snapshots`;
    console.log(`${Math.round(this.#seconds)} s: ${memory}; ${done}, ${violations} violations`);
    if (violations > 0) console.log(`  ${firstViolations.at(-1)}`);
  }
}
