import { after, before, test } from "node:test";
import type { ConformanceCase } from "./case.ts";
import { listCases } from "./cases/lists.ts";
import { selectorCases } from "./cases/selectors.ts";
import { watchCases } from "./cases/watches.ts";
import { writeCases } from "./cases/writes.ts";
import { Api } from "./client.ts";
import { startTarget, type Target, type TargetName } from "./target.ts";

const cases: readonly ConformanceCase[] = [...selectorCases, ...listCases, ...watchCases, ...writeCases];

/** Registers the whole suite as tests of one API server, which is started before and ended after them. */
export function runSuite(name: TargetName): void {
  let target: Target;
  let api: Api;
  before(async () => {
    target = await startTarget(name);
    api = new Api(target);
  });
  after(async () => {
    api?.[Symbol.dispose]();
    await target?.[Symbol.asyncDispose]();
  });
  for (const { id, realOnly, run } of cases) {
    const skip = name === "embedded" && realOnly !== undefined ? realOnly : false;
    test(`${name} API server: ${id}`, { skip }, () => run(api));
  }
}
