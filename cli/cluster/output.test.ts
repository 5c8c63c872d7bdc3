import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { rendered } from "../print.ts";
import { reportOf, reportText } from "./check/report.ts";
import { explanationText } from "./explain.ts";
import type { Explanation } from "./explanation.ts";
import type { MeshStatus } from "./mesh-status.ts";
import { type Plan, planText } from "./plan/plan-text.ts";
import { statusText } from "./status-text.ts";

/** What users read, word for word; `node cli/cluster/output.test.ts --update` rewrites the files. */

const folder = new URL("../testdata/", import.meta.url);

const report = reportOf("after", [
  { name: "api-server", summary: "v1.36.3: native sidecars, WatchList, no CBOR", findings: [] },
  {
    name: "webhooks",
    summary: "see below",
    findings: [
      {
        level: "error",
        code: "WebhookDown",
        where: "ValidatingWebhookConfiguration ctrlmesh-validating",
        what: "the API server called it in vain: connect: connection refused",
        remedy: "kubectl -n ctrlmesh get pods,endpointslices",
      },
    ],
  },
  {
    name: "shards",
    summary: "2 ShardingConfigs in 1 namespaces",
    findings: [
      {
        level: "warning",
        code: "ShardsGap",
        where: "ShardingConfig demo/left",
        what: "no shard of the group claims buckets 0-31: nobody acts on objects there",
        remedy: "add them to the selector of one shard, best with NotIn in the last one",
      },
    ],
  },
]);

const status: MeshStatus = {
  manager: { namespace: "ctrlmesh", leader: "ctrlmesh-manager-0", version: "0.1.0", term: 7 },
  clientVersion: "0.1.0",
  shards: [
    {
      namespace: "demo",
      name: "left",
      ready: "True",
      held: "namespaces team-a, team-b",
      pending: "none",
      revoking: "none",
      podsReady: "1/1",
      epoch: 3,
      pods: [{ name: "operator-0", connected: true, ready: true, snapshot: "7/4", proxyVersion: "0.1.0" }],
      conditions: [],
    },
    {
      namespace: "demo",
      name: "right",
      ready: "False",
      held: `namespaces ${Array.from({ length: 12 }, (_, index) => `team-${index + 10}`).join(", ")}`,
      pending: "buckets 0-31",
      revoking: "",
      podsReady: "0/1",
      epoch: 0,
      pods: [{ name: "operator-1", connected: false, ready: false, snapshot: "", proxyVersion: "" }],
      conditions: [{ type: "Ready", reason: "Pending", message: "waits for buckets 0-31" }],
    },
  ],
};

const explanation: Explanation = {
  object: { kind: "configmaps", namespace: "team-a", name: "one" },
  bucket: 19,
  labels: "wrong",
  exempt: "",
  operators: [
    {
      ledger: "demo/workload.operator",
      atom: "namespace/team-a",
      owner: "left",
      state: "Revoking",
      epoch: 3,
      rule: "ctrlmesh.kusionstack.io/namespace in (team-a,team-b)",
      pods: [{ name: "operator-0", connected: true, ready: false }],
      seenBy: ["right"],
      pending: ["right"],
    },
  ],
  problems: ["left owns it and right sees it"],
};

const plan: Plan = {
  moves: [
    {
      namespace: "demo",
      ledger: "workload.operator",
      from: "left",
      to: "right",
      atoms: ["namespace/team-b", "bucket/3", "bucket/4"],
      namespaces: ["team-b", "team-x"],
      objects: { configmaps: 12, "widgets.example.com": 3 },
    },
    {
      namespace: "demo",
      ledger: "workload.operator",
      from: "",
      to: "right",
      atoms: ["namespace/team-z"],
      namespaces: [],
      objects: {},
    },
  ],
  restarts: [{ namespace: "demo", pod: "operator-0", shard: "left", onLoss: "Restart" }],
  warnings: ["demo/right: Overlap: left claims namespaces team-a too; what one holds the other waits for"],
};

const outputs: Readonly<Record<string, () => string | Promise<string>>> = {
  "check.txt": () => reportText(report),
  "check.json": () => rendered("json", report, reportText),
  "status.txt": () => statusText(status),
  "status.yaml": () => rendered("yaml", status, statusText),
  "explain.txt": () => explanationText(explanation),
  "plan.txt": () => planText(plan),
  "plan-nothing.txt": () => planText({ moves: [], restarts: [], warnings: [] }),
};

for (const [name, output] of Object.entries(outputs)) {
  test(`output: ${name} (--update rewrites it)`, async () => {
    const file = new URL(name, folder);
    const text = await output();
    if (process.argv.includes("--update")) writeFileSync(file, text);
    assert.equal(text, readFileSync(file, "utf8"));
  });
}
