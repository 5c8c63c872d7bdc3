import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { parameterValue } from "#kube/wire/query";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { type CompiledSnapshot, compileSnapshot } from "../snapshot.ts";
import { createDataPlaneCounters } from "./counters.ts";
import { FloorTable } from "./floor.ts";
import type { FloorAnswer, FloorScopeDeps } from "./floor-scope.ts";
import { type Decision, decide, type Forward } from "./pipeline.ts";
import { type RunningRequest, RunningRequests } from "./running-requests.ts";

/** The law of the floors: nothing of one view is gone on from under another, and no client is refused for ever. */

const seed = Number(process.env.CTRLMESH_TEST_SEED ?? Math.floor(Math.random() * 1_000_000));
const turn = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

/** A resourceVersion that a client has, and of which view; two lists of one view fit together, whatever was between. */
interface HandedOut {
  readonly version: number;
  readonly view: string;
}

interface RunningList {
  readonly running: RunningRequest;
  readonly decision: Forward;
  readonly view: string;
  readonly begunAt: number;
}

/** What the disk holds; undefined when nothing could be stored. */
type Stored = { readonly snapshot: CompiledSnapshot; readonly floors: unknown } | undefined;

/** An API server with one resource, the proxy's decisions, and a client that does anything at any time. */
class World {
  readonly clock = new FakeClock();
  revision = 100;
  readonly handedOut: HandedOut[] = [];
  /** From where requests went on although an earlier view had handed it out. */
  readonly wrong: number[] = [];
  /** Watches and continued lists that were let through. */
  passed = 0;
  #snapshots = 0;
  #snapshot: CompiledSnapshot;
  #process = new AbortController();
  #floors: FloorTable;
  #requests: RunningRequests;
  #lists: RunningList[] = [];
  #reads: { readonly begunAt: number; readonly answer: (answer: FloorAnswer | Error) => void }[] = [];
  #stored: Stored;

  constructor() {
    this.#snapshot = this.#snapshotOf("a");
    this.#floors = FloorTable.ofNewPod(this.#deps());
    this.#requests = this.#requestsUnder(this.#snapshot);
    this.#stored = { snapshot: this.#snapshot, floors: this.#floors };
  }

  get view(): string {
    return this.#snapshot.view;
  }

  #snapshotOf(team: string): CompiledSnapshot {
    return compileSnapshot(
      create(SnapshotSchema, {
        id: { term: 1n, revision: BigInt(++this.#snapshots) },
        shard: "s",
        grant: Grant.GRANTED,
        limits: [{ groups: [""], resources: ["pods"], selector: `team=${team}` }],
        hash: HashFunction.MURMUR3,
      }),
    );
  }

  #deps(): FloorScopeDeps {
    const { signal } = this.#process;
    const read = (_question: unknown, deadline: AbortSignal): Promise<FloorAnswer> => {
      const { promise, resolve, reject } = Promise.withResolvers<FloorAnswer>();
      deadline.addEventListener("abort", () => reject(deadline.reason));
      const answer = (given: FloorAnswer | Error) =>
        given instanceof Error ? reject(given) : resolve(given);
      this.#reads.push({ begunAt: this.revision, answer });
      return promise;
    };
    return { read, clock: this.clock, log: silentLog, random: () => 0.5, signal, onKnown: () => undefined };
  }

  #requestsUnder(snapshot: CompiledSnapshot | undefined): RunningRequests {
    const counters = createDataPlaneCounters();
    return new RunningRequests(snapshot, {
      floors: this.#floors,
      clock: this.clock,
      log: silentLog,
      counters,
    });
  }

  #decide(query: string): Decision {
    const rules = { snapshot: this.#requests.snapshot, floors: this.#floors, draining: false };
    const target = `/api/v1/pods?${query}`;
    return decide({ method: "GET", target, accept: undefined, isUpgrade: false }, rules);
  }

  /** Decides again each time that it is worth it, as connections do; gives up after 5 s or with the process. */
  #ask(query: string, then: (decision: Decision) => void): void {
    const startMs = this.clock.monotonicMs();
    const { signal } = this.#process;
    const ask = () => {
      if (signal.aborted || this.clock.monotonicMs() - startMs >= 5_000) return;
      const decision = this.#decide(query);
      if (decision.kind === "wait") void decision.ready.then(() => setImmediate(ask));
      else then(decision);
    };
    ask();
  }

  write(): void {
    this.revision++;
  }

  switchTo(team: string): void {
    const next = this.#snapshotOf(team);
    this.#stored = { snapshot: next, floors: { ...this.#floors.toJSON(), floors: [] } };
    this.#snapshot = next;
    void this.#requests.switchTo(next, never);
  }

  list(query: string): void {
    this.#ask(query, (decision) => {
      const { snapshot } = this.#requests;
      if (decision.kind !== "forward") return;
      const running: RunningRequest = {
        info: decision.info,
        mutates: false,
        isLimited: true,
        snapshot,
        isWatch: false,
        isUpgrade: false,
        endWatch: () => undefined,
        destroy: () => undefined,
      };
      this.#requests.add(running);
      this.#lists.push({ running, decision, view: this.view, begunAt: this.revision });
    });
  }

  /** @param isOld whether it shows the oldest state that it may */
  endList(isOld: boolean): void {
    const list = this.#lists.shift();
    if (list === undefined) return;
    const asked = parameterValue(list.decision.target.split("?")[1] ?? "", "resourceVersion") ?? "";
    const oldest = asked === "" ? list.begunAt : Number(asked);
    this.handedOut.push({ version: isOld ? oldest : this.revision, view: list.view });
    this.#requests.remove(list.running, true);
  }

  resume(from: HandedOut, isWatch: boolean): { outcome: "waits" | "passed" | "refused" } {
    const token = Buffer.from(`{"v":"meta.k8s.io/v1","rv":${from.version},"start":"a"}`).toString(
      "base64url",
    );
    const result: ReturnType<World["resume"]> = { outcome: "waits" };
    this.#ask(isWatch ? `watch=1&resourceVersion=${from.version}` : `continue=${token}`, (decision) => {
      result.outcome = decision.kind === "forward" ? "passed" : "refused";
      if (decision.kind !== "forward") return;
      if (from.view !== this.view) this.wrong.push(from.version);
      this.passed++;
    });
    return result;
  }

  /** @param isOld whether the answer is as old as its question */
  answerRead(isOld: boolean): void {
    const read = this.#reads.shift();
    read?.answer({ kind: "known", resourceVersion: String(isOld ? read.begunAt : this.revision) });
  }

  failRead(): void {
    this.#reads.shift()?.answer(new Error("away"));
  }

  storeFloors(): void {
    const { snapshot } = this.#requests;
    if (snapshot !== undefined) this.#stored = { snapshot, floors: structuredClone(this.#floors.toJSON()) };
  }

  /** @param isLost whether nothing could be stored; then the manager sends the snapshot again */
  restart(isLost: boolean): void {
    this.#process.abort(new Error("killed"));
    this.#process = new AbortController();
    this.#requests[Symbol.dispose]();
    this.#lists = [];
    this.#reads = [];
    if (isLost) this.#stored = undefined;
    const disk: unknown = JSON.parse(JSON.stringify(this.#stored?.floors ?? null));
    this.#floors = FloorTable.fromJSON(disk, this.#deps());
    this.#requests = this.#requestsUnder(this.#stored?.snapshot);
    if (this.#stored === undefined) void this.#requests.switchTo(this.#snapshot, never);
  }

  /** Nothing hangs, and something is written now and then. */
  async settle(): Promise<void> {
    for (let round = 0; round < 8; round++) {
      this.write();
      while (this.#lists.length > 0) this.endList(false);
      while (this.#reads.length > 0) this.answerRead(false);
      await this.clock.advance(500);
    }
  }

  end(): void {
    this.#process.abort(new Error("over"));
    this.#requests[Symbol.dispose]();
  }
}

/** Named, so that a failure tells what was done. */
type Step = readonly [name: string, run: (world: World) => void | Promise<void>];

const step = (weight: number, arbitrary: fc.Arbitrary<Step>) => ({ weight, arbitrary });
const always = (name: string, run: Step[1]) => fc.constant<Step>([name, run]);

function goOn(world: World, index: number, isWatch: boolean): void {
  const from = world.handedOut.at(-1 - (index % Math.max(1, world.handedOut.length)));
  if (from !== undefined) world.resume(from, isWatch);
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  step(
    2,
    always("write", (world) => world.write()),
  ),
  step(
    2,
    fc.constantFrom("a", "b").map((team): Step => [`switch to ${team}`, (world) => world.switchTo(team)]),
  ),
  step(
    4,
    fc
      .constantFrom("", "resourceVersion=0")
      .map((query): Step => [`list ${query}`, (world) => world.list(query)]),
  ),
  step(
    4,
    fc.boolean().map((isOld): Step => [`end list, old ${isOld}`, (world) => world.endList(isOld)]),
  ),
  step(
    5,
    fc.boolean().map((isOld): Step => [`answer read, old ${isOld}`, (world) => world.answerRead(isOld)]),
  ),
  step(
    1,
    always("fail read", (world) => world.failRead()),
  ),
  step(
    2,
    always("store floors", (world) => world.storeFloors()),
  ),
  step(
    1,
    fc.boolean().map((isLost): Step => [`restart, lost ${isLost}`, (world) => world.restart(isLost)]),
  ),
  step(
    3,
    fc
      .constantFrom(50, 200, 1_000, 5_000)
      .map((ms): Step => [`${ms} ms`, (world) => world.clock.advance(ms)]),
  ),
  step(
    6,
    fc
      .tuple(fc.nat({ max: 20 }), fc.boolean())
      .map(
        ([index, isWatch]): Step => [
          `${isWatch ? "watch" : "continue"} ${index}`,
          (world) => goOn(world, index, isWatch),
        ],
      ),
  ),
);

test(`floors: whatever comes in between, nothing goes on from an earlier view, and all goes on once something is written (property, seed ${seed})`, async () => {
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 30, maxLength: 100, size: "max" }), async (run) => {
      const world = new World();
      for (const [, perform] of run) {
        await perform(world);
        await turn();
        await turn();
      }
      passed += world.passed;
      await world.settle();
      // The first list may be at the floor itself, the second one never is.
      for (const isLast of [false, true]) {
        world.list("");
        await world.settle();
        const from = world.handedOut.at(-1);
        assert.ok(from !== undefined && from.view === world.view, "a list was answered");
        const resumed = world.resume(from, true);
        await world.settle();
        if (resumed.outcome === "passed") break;
        assert.ok(!isLast, `a watch from a list of this view ${resumed.outcome}`);
      }
      assert.deepEqual(world.wrong, [], "went on from an earlier view");
      world.end();
    }),
    { seed, numRuns: 400 },
  );
  assert.ok(passed > 300, `${passed} requests went on, too few to have tried anything`);
});
