import { after, before, describe, test } from "node:test";
import type { ConformanceCase } from "./case.ts";
import { accessCases } from "./cases/access.ts";
import { admissionCases } from "./cases/admission.ts";
import { customResourceCases } from "./cases/custom-resources.ts";
import { listCases } from "./cases/lists.ts";
import { namespaceCases } from "./cases/namespaces.ts";
import { patchCases } from "./cases/patches.ts";
import { protocolCases } from "./cases/protocol.ts";
import { selectorCases } from "./cases/selectors.ts";
import { watchCases } from "./cases/watches.ts";
import { writeCases } from "./cases/writes.ts";
import { Api } from "./client.ts";
import { startTarget, type Target, type TargetName } from "./target.ts";

const cases: readonly ConformanceCase[] = [
  ...selectorCases,
  ...listCases,
  ...watchCases,
  ...writeCases,
  ...patchCases,
  ...protocolCases,
  ...accessCases,
  ...customResourceCases,
  ...namespaceCases,
  ...admissionCases,
];

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
  const register = ({ id, realOnly, run }: ConformanceCase): void => {
    const skip = name === "embedded" && realOnly !== undefined ? realOnly : false;
    test(id, { skip }, () => run(api));
  };
  // Most of a case is waiting, and each has a namespace of its own.
  describe(`${name} API server, at once`, { concurrency: 8 }, () => {
    for (const each of cases) if (each.alone !== true) register(each);
  });
  describe(`${name} API server, alone`, () => {
    for (const each of cases) if (each.alone === true) register(each);
  });
}
