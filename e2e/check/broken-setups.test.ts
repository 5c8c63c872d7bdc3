import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { olderKubernetesVersion } from "../cluster/versions.ts";
import { eventually } from "../flow/eventually.ts";
import { type BrokenSetup, whileManaged, withoutManager } from "./broken-setups.ts";
import {
  type CheckBed,
  healthy,
  namespaceObject,
  openCheckBed,
  type PrintedReport,
  shard,
} from "./check-bed.ts";

/** `ctrlmesh check` names cause and remedy of set-ups that are broken on purpose, on a real control plane. */

let bed: CheckBed;

before(async () => {
  bed = await openCheckBed();
  await bed.apply(namespaceObject("ops", true), namespaceObject("team-a"));
  await bed.apply(
    shard("ops", "shard-a", { operator: "In", values: ["team-a"] }),
    shard("ops", "shard-b", { operator: "NotIn", values: ["team-a"] }),
  );
});

after(async () => {
  await bed?.[Symbol.asyncDispose]();
});

/** The manager looks after what it owns once a minute, and may have been there between the break and the check. */
const attempts = 3;

async function checkedWhileBroken(setup: BrokenSetup): Promise<PrintedReport> {
  const mend = await setup.brk(bed);
  try {
    return await (setup.check ?? ((each: CheckBed) => each.check()))(bed);
  } finally {
    await mend();
  }
}

async function judge(setup: BrokenSetup): Promise<void> {
  const { code, level = "error", where, what, remedy, also = [] } = setup;
  const foundIn = ({ findings }: PrintedReport) =>
    findings.filter((each) => each.code === code && where.test(each.where));
  let report = await checkedWhileBroken(setup);
  for (let attempt = 1; attempt < attempts && foundIn(report).length === 0; attempt++)
    report = await checkedWhileBroken(setup);
  const seen = JSON.stringify(report.findings, null, 2);
  const found = foundIn(report);
  assert.ok(found.length > 0, `no ${code} in ${seen}`);
  for (const each of found) {
    assert.equal(each.level, level, seen);
    assert.match(each.what, what);
    assert.match(each.remedy, remedy);
    assert.equal(each.docs, `docs/troubleshooting.md#${code.toLowerCase()}`);
  }
  const others = report.findings.filter((each) => each.level === "error").map((each) => each.code);
  const expected = [...also, ...(level === "error" ? [code] : [])];
  assert.deepEqual([...new Set(others)].sort(), [...new Set(expected)].sort(), seen);
  assert.equal(report.ok, expected.length === 0);
}

test("check: a good set-up has no error, and the check ends with 0", async () => {
  await healthy(bed);
  const { exitCode, findings, checks, stderr } = await bed.check();
  assert.equal(exitCode, 0, stderr);
  // There is no operator yet.
  assert.deepEqual(
    findings.map(({ code, where }) => `${code} ${where}`),
    ["ShardNotReady ShardingConfig ops/shard-a", "ShardNotReady ShardingConfig ops/shard-b"],
  );
  assert.match(
    checks[0]?.summary ?? "",
    /^v1\.36.*: native sidecars, .*MutatingAdmissionPolicy v1, WatchList, no CBOR/,
  );
});

for (const setup of whileManaged) {
  test(`check: ${setup.title}`, () => judge(setup));
}

test("check: what was broken is mended, and a broken set-up ends with 1", async () => {
  await healthy(bed);
  await bed.manager.stop("SIGKILL");
  assert.equal((await bed.check()).exitCode, 1);
});

for (const setup of withoutManager) {
  test(`check: ${setup.title}`, () => judge(setup));
}

test("check: after all of it the manager comes back to a good set-up", async () => {
  await bed.manager.start();
  await healthy(bed);
});

test("check: an API server without MutatingAdmissionPolicy v1 is told, and is no error", async () => {
  await using older = await openCheckBed({ version: olderKubernetesVersion });
  let report: PrintedReport | undefined;
  await eventually(
    "no error",
    async () => {
      report = await older.check();
      return report.ok;
    },
    { detail: () => JSON.stringify(report?.findings, null, 2) },
  );
  const [finding] = report?.findings ?? [];
  assert.equal(`${finding?.level} ${finding?.code}`, "info ApiServerLimited");
  assert.match(report?.checks[0]?.summary ?? "", /no MutatingAdmissionPolicy v1/);
});
