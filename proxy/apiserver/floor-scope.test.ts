import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { type FloorAnswer, FloorScope, type FloorState } from "./floor-scope.ts";

const name = { group: "", resource: "pods", namespace: undefined, selector: "s" };
const known = (resourceVersion: string): FloorAnswer => ({ kind: "known", resourceVersion });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Reads of one scope, answered by the test; a read that it leaves alone ends with its signal. */
class Bench {
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  readonly reads: PromiseWithResolvers<FloorAnswer>[] = [];
  known = 0;
  readonly deps = {
    read: (_question: unknown, signal: AbortSignal): Promise<FloorAnswer> => {
      const answer = Promise.withResolvers<FloorAnswer>();
      signal.addEventListener("abort", () => answer.reject(signal.reason));
      this.reads.push(answer);
      return answer.promise;
    },
    clock: this.clock,
    log: silentLog,
    random: () => 0.999,
    signal: this.stop.signal,
    onKnown: () => {
      this.known++;
    },
  };
  readonly scope: FloorScope;
  /** How often those who wait were woken. */
  woken = 0;
  #isWaiting = false;

  constructor(scopeOf: (deps: Bench["deps"]) => FloorScope) {
    this.scope = scopeOf(this.deps);
  }

  static async dirtyAt(resourceVersion: string): Promise<Bench> {
    const bench = new Bench((deps) => new FloorScope(name, deps));
    bench.scope.start("v1", false);
    await bench.answer(known(resourceVersion));
    return bench;
  }

  async answer(answer: FloorAnswer | Error): Promise<void> {
    const read = this.reads.at(-1);
    assert.ok(read, "a read was started");
    if (answer instanceof Error) read.reject(answer);
    else read.resolve(answer);
    await turn();
  }

  get state(): FloorState {
    return this.scope.stateFor("v1");
  }

  get version(): string {
    const { state } = this;
    return state.kind === "known" ? state.floor.resourceVersion : state.kind;
  }

  get isDirty(): boolean {
    const { state } = this;
    return state.kind === "known" && state.floor.untilMoved !== undefined;
  }

  /** Waits as a request does, which asks again each time that it is woken, until the floor is clean or it gives up. */
  wait(): { giveUp(): void } {
    this.#isWaiting = true;
    const ask = () => {
      const { state } = this;
      if (!this.#isWaiting || state.kind !== "known" || state.floor.untilMoved === undefined) return;
      void state.floor.untilMoved().then(() => {
        this.woken++;
        setImmediate(ask);
      });
    };
    ask();
    return {
      giveUp: () => {
        this.#isWaiting = false;
      },
    };
  }
}

test("floor scope: a dirty floor is looked at again after 50 to 500 ms, and is clean and one higher once something was written", async () => {
  const bench = await Bench.dirtyAt("100");
  assert.equal(bench.isDirty, true);
  bench.wait();
  const seenMs: number[] = [];
  for (let poll = 0; poll < 6; poll++) {
    const count = bench.reads.length;
    const startMs = bench.clock.monotonicMs();
    while (bench.reads.length === count) await bench.clock.advance(1);
    seenMs.push(bench.clock.monotonicMs() - startMs);
    if (poll < 5) await bench.answer(known("100"));
    assert.equal(bench.version, "100");
  }
  assert.deepEqual(seenMs, [100, 200, 400, 500, 500, 500], "with a random part that is nearly all of it");
  await bench.answer(known("107"));
  assert.equal(bench.version, "101", "what was listed in between is of the present view");
  assert.equal(bench.isDirty, false);
  assert.equal(bench.woken, 6, "at each look");
  assert.equal(bench.known, 2, "both go to the disk");
  await bench.clock.advance(60_000);
  assert.equal(bench.reads.length, 7, "nothing is read any more");
  assert.equal(bench.clock.waiting, 0);
});

test("floor scope: nobody reads while nobody waits, and the next who waits starts it again", async () => {
  const bench = await Bench.dirtyAt("100");
  await bench.clock.advance(60_000);
  assert.equal(bench.reads.length, 1);
  const waiting = bench.wait();
  await bench.clock.advance(100);
  assert.equal(bench.reads.length, 2);
  waiting.giveUp();
  await bench.answer(known("100"));
  await bench.clock.advance(60_000);
  assert.equal(bench.reads.length, 2);
  assert.equal(bench.clock.waiting, 0);
  bench.wait();
  await bench.clock.advance(100);
  await bench.answer(known("101"));
  assert.equal(bench.version, "101");
});

test("floor scope: many who wait share one look", async () => {
  const bench = await Bench.dirtyAt("100");
  for (let count = 0; count < 20; count++) bench.wait();
  await bench.clock.advance(100);
  assert.equal(bench.reads.length, 2);
});

test("floor scope: a version from before a restored backup is no newer state", async () => {
  const bench = await Bench.dirtyAt("100");
  bench.wait();
  await bench.clock.advance(100);
  await bench.answer(known("7"));
  assert.equal(bench.version, "100");
  assert.equal(bench.isDirty, true);
});

for (const kind of ["forbidden", "absent"] as const) {
  test(`floor scope: a dirty floor that becomes ${kind} is unreadable, until it is asked for again`, async () => {
    const bench = await Bench.dirtyAt("100");
    bench.wait();
    await bench.clock.advance(100);
    await bench.answer({ kind });
    assert.equal(bench.version, "unreadable");
    assert.equal(bench.scope.isForbidden, kind === "forbidden");
    assert.equal(bench.scope.known, undefined);
    assert.equal(bench.scope.isStale, false);
    await bench.clock.advance(30_000);
    assert.equal(bench.scope.isStale, true);
    assert.equal(bench.reads.length, 2);
  });
}

test("floor scope: a failed look wakes those who wait and is tried again, ever more slowly", async () => {
  const bench = await Bench.dirtyAt("100");
  bench.wait();
  await bench.clock.advance(100);
  await bench.answer(new Error("away"));
  assert.equal(bench.woken, 1);
  assert.equal(bench.isDirty, true);
  for (const delayMs of [200, 400, 800, 1_600]) {
    const count = bench.reads.length;
    await bench.clock.advance(delayMs / 2);
    assert.equal(bench.reads.length, count);
    await bench.clock.advance(delayMs / 2);
    assert.equal(bench.reads.length, count + 1);
    await bench.answer(new Error("away"));
  }
  await bench.clock.advance(5_000);
  await bench.answer(known("101"));
  assert.equal(bench.isDirty, false);
});

for (const [when, start] of [
  ["the first read", async () => new Bench((deps) => new FloorScope(name, deps))],
  ["a look", () => Bench.dirtyAt("100")],
] as const) {
  test(`floor scope: ${when} that hangs has failed after 4 s, in time for those who wait, and is tried again`, async () => {
    const bench = await start();
    const isFirst = when === "the first read";
    if (isFirst) bench.scope.start("v1", false);
    else bench.wait();
    const { state } = bench;
    const ready = state.kind === "wait" ? state.ready : undefined;
    if (!isFirst) await bench.clock.advance(100);
    const count = bench.reads.length;
    await bench.clock.advance(3_999);
    assert.equal(bench.reads.length, count);
    assert.equal(bench.woken, 0);
    await bench.clock.advance(1);
    await ready;
    assert.equal(bench.woken, isFirst ? 0 : 1);
    await bench.clock.advance(200);
    assert.equal(bench.reads.length, count + 1);
    await bench.answer(known("105"));
    assert.equal(bench.version, isFirst ? "105" : "101");
  });
}

for (const [name, end] of [
  ["forgotten", (bench: Bench) => bench.scope.forget()],
  ["aborted", (bench: Bench) => bench.stop.abort()],
] as const) {
  test(`floor scope: a scope that is ${name} stops its look at once, between two reads and in one`, async () => {
    for (const isReading of [false, true]) {
      const bench = await Bench.dirtyAt("100");
      const waiting = bench.wait();
      if (isReading) await bench.clock.advance(100);
      const count = bench.reads.length;
      waiting.giveUp();
      end(bench);
      await turn();
      assert.equal(bench.clock.waiting, 0);
      await bench.clock.advance(60_000);
      assert.equal(bench.reads.length, count);
      assert.equal(bench.known, 1);
    }
  });
}

test("floor scope: under the first view, and for a resource without versions, a floor is clean at once", async () => {
  for (const [isFirstView, version] of [
    [true, "100"],
    [false, ""],
    [false, "0"],
  ] as const) {
    const bench = new Bench((deps) => new FloorScope(name, deps));
    bench.scope.start("v1", isFirstView);
    await bench.answer(known(version));
    assert.equal(bench.version, version || "0");
    assert.equal(bench.isDirty, false);
    assert.equal(bench.scope.known?.isClean, true);
  }
});

test("floor scope: one from the disk keeps its state, and a dirty one finds out", async () => {
  const clean = new Bench((deps) => FloorScope.known(name, { resourceVersion: "101", isClean: true }, deps));
  assert.equal(clean.isDirty, false);
  const dirty = new Bench((deps) => FloorScope.known(name, { resourceVersion: "100", isClean: false }, deps));
  assert.equal(dirty.isDirty, true);
  dirty.wait();
  await dirty.clock.advance(100);
  await dirty.answer(known("200"));
  assert.deepEqual(dirty.scope.known, { resourceVersion: "101", isClean: true });
});
