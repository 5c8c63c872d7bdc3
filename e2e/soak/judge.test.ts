import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";
import { randomFrom } from "./load/random.ts";
import type { Sample } from "./record.ts";

const bytesPerMiB = 1024 * 1024;
const seed = Number(process.env.CTRLMESH_TEST_SEED ?? 20_26);

interface Growth {
  readonly heapMiBPerHour?: number;
  readonly socketsPerHour?: number;
  /** Added once, early in the time that counts. */
  readonly heapStepMiB?: number;
}

/** Samples as a soak makes them: 5 s apart, with the noise of clients that come and go, and a warm-up. */
function samplesOf(minutes: number, growth: Growth): Sample[] {
  const random = randomFrom(seed);
  const { heapMiBPerHour = 0, socketsPerHour = 0, heapStepMiB = 0 } = growth;
  return Array.from({ length: minutes * 12 }, (_, index) => {
    const atSeconds = (index + 1) * 5;
    const hours = atSeconds / 3600;
    const isAtRest = index % 12 === 11;
    const warmUp = 0.6 * Math.exp(-atSeconds / (minutes * 3));
    const step = atSeconds > minutes * 20 ? heapStepMiB : 0;
    const noise = (random.next() - 0.5) * (isAtRest ? 0.05 : 0.5);
    const spike = random.below(40) === 0 ? 3 : 0;
    const sockets = (isAtRest ? 6 : 150 + random.below(40)) + Math.floor(socketsPerHour * hours);
    return {
      atSeconds,
      isAtRest,
      heapBytes: (13 + warmUp + heapMiBPerHour * hours + step + noise + spike) * bytesPerMiB,
      externalBytes: 14 * bytesPerMiB,
      arrayBufferBytes: 3 * bytesPerMiB,
      rssBytes: 150 * bytesPerMiB,
      socketObjects: sockets,
      timerObjects: 200,
      sockets,
      descriptors: sockets + 20,
      resources: {},
    };
  });
}

const failing = (samples: readonly Sample[]): string[] =>
  judge(samples).flatMap(({ series, holds }) => (holds ? [] : [series]));

for (const minutes of [10, 120]) {
  test(`judge: ${minutes} minutes of a steady proxy hold, whatever its clients do`, () => {
    const samples = samplesOf(minutes, {});
    assert.deepEqual(failing(samples), [], `seed ${seed}`);
    assert.equal(judge(samples).length, 10, "five series under load, and at rest");
  });

  test(`judge: 1 KB kept for each of 100 requests a second fails in ${minutes} minutes`, () => {
    const found = failing(samplesOf(minutes, { heapMiBPerHour: 350 }));
    assert.deepEqual(found, ["live heap", "live heap at rest"]);
  });

  test(`judge: a socket kept for each 100 requests fails in ${minutes} minutes`, () => {
    const found = failing(samplesOf(minutes, { socketsPerHour: 3600 }));
    assert.deepEqual(found, ["sockets", "sockets at rest"]);
  });
}

test("judge: over two hours 3 % per hour fail, and 1 % holds", () => {
  assert.deepEqual(failing(samplesOf(120, { heapMiBPerHour: 13 * 0.03 })), [
    "live heap",
    "live heap at rest",
  ]);
  assert.deepEqual(failing(samplesOf(120, { heapMiBPerHour: 13 * 0.01 })), []);
});

test("judge: over two hours a dozen kept sockets fail", () => {
  assert.ok(failing(samplesOf(120, { socketsPerHour: 6 })).includes("sockets at rest"));
});

test("judge: over minutes some hundred kilobytes that come once are not taken for a leak", () => {
  assert.deepEqual(failing(samplesOf(10, { heapStepMiB: 0.2 })), []);
});

test("judge: too few samples are no verdict", () => {
  assert.deepEqual(judge(samplesOf(10, {}).slice(0, 4)), []);
});
