import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FuzzFinding, fuzz } from "./fuzzer.ts";
import { GoReference, withoutGo } from "./go-reference.ts";
import { PlantedSubject, plantedBugs } from "./planted-bugs.ts";
import { loadSubject } from "./subject.ts";

const skip = withoutGo() ?? false;
const inputs = Number(process.env.CTRLMESH_FUZZ_INPUTS ?? 5_000);
const seed = Number(process.env.CTRLMESH_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
/** A planted bug has to be found within so many inputs, from a fixed seed. */
const plantedInputs = 20_000;
let go: GoReference;

before(async () => {
  if (skip === false) go = await GoReference.start();
});

after(() => go?.[Symbol.asyncDispose]());

const told = (findings: readonly FuzzFinding[]): string =>
  findings
    .map(
      ({ kind, reference, what, index, text }) =>
        `${index}: ${kind} (${reference ?? "ours"}): ${what}\n${text}`,
    )
    .join("\n");

test(`fuzz: ${inputs} streams from seed ${seed} are refused, or read as net/http and llhttp read them`, {
  skip,
}, async (t) => {
  const subject = await loadSubject(new URL("../../../proxy/http1/", import.meta.url));
  const summary = await fuzz({ subject, go, seed, inputs });
  assert.equal(summary.findings.length, 0, `seed ${seed}\n${told(summary.findings)}`);
  assert.equal(summary.inputs, inputs);
  assert.ok(summary.accepted.anyReference >= 0.5, JSON.stringify(summary.accepted));
  t.diagnostic(`accepted: ${JSON.stringify(summary.accepted)}`);
});

for (const bug of plantedBugs) {
  test(`fuzz: it finds the planted bug: ${bug.name}`, { skip }, async (t) => {
    using planted = await PlantedSubject.create(bug);
    const { subject } = planted;
    const summary = await fuzz({ subject, go, seed: 1, inputs: plantedInputs, stopAtFirst: true });
    assert.ok(summary.findings.length > 0, `not found within ${summary.inputs} inputs`);
    t.diagnostic(`found at input ${summary.findings[0]?.index}: ${summary.findings[0]?.what}`);
  });
}
