import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { defects, laterChanges } from "./defects.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const defectCount = 69;

/** Numbers of defects at the start of a test's name, or of a row that becomes one; not in what is skipped. */
function numbersIn(file: string): ReadonlySet<number> {
  const text = readFileSync(join(root, file), "utf8");
  const names = text.matchAll(/(?<!\b(?:skip|todo)\(\s*)["'`]D([0-9]+): \S/g);
  return new Set([...names].map(([, number]) => Number(number)));
}

const testedFiles = new Map(
  globSync("{api,runtime,kube,proxy,manager,webhook,devcluster,cli,crds,e2e}/**/{*.test.ts,testdata/*.ts}", {
    cwd: root,
  }).map((file): [string, ReadonlySet<number>] => [file, numbersIn(file)]),
);

test("defects: every number has its line, without gaps", () => {
  const expected = Array.from({ length: defectCount }, (_, index) => index + 1);
  assert.deepEqual(Object.keys(defects).map(Number), expected);
  const effects = Object.values(defects).map(({ effect }) => effect);
  assert.equal(new Set(effects).size, defectCount);
});

test("defects: each one that is avoided has a test whose name starts with its number, where the registry says", () => {
  const missing = Object.entries(defects).flatMap(([number, { effect, standing }]) => {
    if (!("test" in standing)) return [];
    assert.ok(standing.test.length > 0, `D${number}`);
    return standing.test
      .filter((file) => testedFiles.get(file)?.has(Number(number)) !== true)
      .map(
        (file) =>
          `D${number} (${effect}): ${existsSync(join(root, file)) ? "no such test in" : "no file"} ${file}`,
      );
  });
  assert.deepEqual(missing, []);
});

test("defects: each one that waits names a change that is to come, and each one left has its reason", () => {
  for (const [number, { standing }] of Object.entries(defects)) {
    if ("later" in standing) assert.ok(laterChanges.has(standing.later), `D${number}: ${standing.later}`);
    if ("deliberatelyNot" in standing) assert.ok(standing.deliberatelyNot.length > 20, `D${number}`);
  }
});

test("defects: no test speaks of a number that does not exist", () => {
  const unknown = [...testedFiles].flatMap(([file, numbers]) =>
    [...numbers].filter((number) => defects[number] === undefined).map((number) => `${file}: D${number}`),
  );
  assert.deepEqual(unknown, []);
});
