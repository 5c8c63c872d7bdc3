import type { BenchCase, Measurement, Timing } from "./cases.ts";
import type { Contender, RunningContender } from "./contenders/contender.ts";
import type { ContenderName, Figures } from "./metrics.ts";
import { type ResultRow, rowsOf } from "./results.ts";
import type { TestBed } from "./test-bed.ts";

export interface RunPlan {
  readonly cases: readonly BenchCase[];
  readonly contenders: readonly Contender[];
  readonly repetitions: number;
  readonly timing: Timing;
  readonly progress: (line: string) => void;
}

export interface RunOutcome {
  readonly rows: readonly ResultRow[];
  /** What could not be measured, and why; one sentence each. */
  readonly leftOut: readonly string[];
}

/** Runs all cases, one after the other. @throws when the product answers wrongly */
export async function runCases(bed: TestBed, plan: RunPlan): Promise<RunOutcome> {
  const rows: ResultRow[] = [];
  const leftOut = new Set<string>();
  for (const benchCase of plan.cases) {
    const able = plan.contenders.filter((contender) => {
      const isAble = contender.protocols.includes(benchCase.protocol);
      if (!isAble) leftOut.add(`${contender.name} has no ${protocolNames[benchCase.protocol]}`);
      return isAble;
    });
    if (!able.some(({ name }) => name === "product")) continue;
    rows.push(...(await new CaseRun(bed, plan, benchCase, leftOut).rows(able)));
  }
  return { rows, leftOut: [...leftOut] };
}

const protocolNames = { http1: "HTTP/1.1", http2: "HTTP/2" } as const;

class CaseRun {
  readonly #bed: TestBed;
  readonly #plan: RunPlan;
  readonly #case: BenchCase;
  readonly #leftOut: Set<string>;
  /** Proxies that stay for all repetitions. */
  readonly #running = new Map<ContenderName, RunningContender>();

  constructor(bed: TestBed, plan: RunPlan, benchCase: BenchCase, leftOut: Set<string>) {
    this.#bed = bed;
    this.#plan = plan;
    this.#case = benchCase;
    this.#leftOut = leftOut;
  }

  /** Each repetition measures all contenders, each time beginning with another one. */
  async rows(contenders: readonly Contender[]): Promise<ResultRow[]> {
    const samples = new Map<ContenderName, (Figures | undefined)[]>(contenders.map(({ name }) => [name, []]));
    const { repetitions, progress } = this.#plan;
    try {
      for (let repetition = 0; repetition < repetitions; repetition++) {
        progress(`${this.#case.name} ${repetition + 1}/${repetitions}`);
        for (let turn = 0; turn < contenders.length; turn++) {
          const contender = contenders[(turn + repetition) % contenders.length];
          if (contender === undefined) continue;
          samples.get(contender.name)?.push(await this.#measure(contender));
        }
      }
    } finally {
      for (const running of this.#running.values()) await running[Symbol.asyncDispose]();
    }
    return rowsOf(this.#case.name, this.#case.units, samples);
  }

  /** Undefined when a peer fails: the others are still worth comparing with. */
  async #measure(contender: Contender): Promise<Figures | undefined> {
    try {
      return await this.#measureOnce(contender);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (contender.name === "product") throw new Error(`${this.#case.name}: ${reason}`, { cause });
      this.#leftOut.add(`${contender.name} failed in ${this.#case.name}: ${reason}`);
      return undefined;
    }
  }

  async #measureOnce(contender: Contender): Promise<Figures> {
    const { protocol, isFirstStart = false, needsNewProcess } = this.#case;
    const present = this.#running.get(contender.name);
    const running = present ?? (await contender.start(this.#bed, { protocol, isFirstStart }));
    if (!needsNewProcess) this.#running.set(contender.name, running);
    const { timing } = this.#plan;
    const isNew = present === undefined && !needsNewProcess;
    try {
      return await this.#checked({
        bed: this.#bed,
        running,
        timing: isNew ? { ...timing, warmMs: timing.firstWarmMs } : timing,
        rewrites: contender.rewrites,
      });
    } finally {
      if (needsNewProcess) await running[Symbol.asyncDispose]();
    }
  }

  async #checked(measurement: Measurement): Promise<Figures> {
    const before = await this.#bed.violations();
    const figures = await this.#case.measure(measurement);
    const violations = (await this.#bed.violations()) - before;
    if (violations > 0) throw new Error(`${violations} lists or watches came without the selector`);
    return figures;
  }
}
