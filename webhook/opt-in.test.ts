import assert from "node:assert/strict";
import { test } from "node:test";
import { annotations, labels } from "#api/names";
import { parseShardingConfig } from "#api/sharding-config";
import { decideOptIn, isOptedIn } from "./opt-in.ts";

const limits = [{ relateResources: [{ apiGroups: [""], resources: ["configmaps"] }] }];
const config = (name: string, pods: readonly string[]) =>
  parseShardingConfig({
    metadata: { name, namespace: "team" },
    spec: { selector: { matchExpressions: [{ key: labels.podName, operator: "In", values: pods }] }, limits },
  });
const root = parseShardingConfig({
  metadata: { name: "root", namespace: "team" },
  spec: { selector: { matchLabels: { app: "x" } }, root: { prefix: "r", targetStatefulSet: "op" } },
});
const optedIn = { name: "team", labels: {}, annotations: { [annotations.enableProxy]: "true" } };
const plain = { name: "team", labels: {}, annotations: {} };
const a = config("a", ["op-0"]);
const b = config("b", ["op-0", "op-1"]);
const op0 = { [labels.podName]: "op-0", app: "x" };
const unreadable = [{ name: "bad", problem: "spec: is no object" }];

const cases: readonly [string, Partial<Parameters<typeof decideOptIn>[0]>, string, RegExp?][] = [
  ["namespace not opted in, pod not labelled", { namespace: plain, configs: [a] }, "leave"],
  ["opted in, one config selects the pod", { configs: [a] }, "inject"],
  ["opted in, no config selects the pod", { configs: [config("c", ["op-9"])] }, "leave"],
  ["opted in, no config at all", { configs: [] }, "leave"],
  ["D48: opted in, two configs select the pod", { configs: [a, b] }, "refuse", /more than one .* a, b/],
  ["opted in, a root alone", { configs: [root] }, "leave"],
  ["a root beside the one that selects", { configs: [root, a] }, "inject"],
  [
    "opted in, pod says false",
    { configs: [a], podLabels: { ...op0, [labels.enableProxy]: "false" } },
    "leave",
  ],
  [
    "pod says true in a plain namespace",
    { namespace: plain, configs: [a], podLabels: { ...op0, [labels.enableProxy]: "true" } },
    "inject",
  ],
  [
    "D48: pod says true, none selects it",
    { namespace: plain, configs: [], podLabels: { [labels.enableProxy]: "true" } },
    "refuse",
    /no ShardingConfig of namespace team selects it/,
  ],
  [
    "pod says something else",
    { configs: [a], podLabels: { ...op0, [labels.enableProxy]: "yes" } },
    "refuse",
    /"yes" is not allowed/,
  ],
  [
    "a config can't be read",
    { configs: [a], unreadable },
    "refuse",
    /it can't be read, so it may select this pod/,
  ],
  ["a config can't be read where nobody opted in", { namespace: plain, configs: [], unreadable }, "leave"],
];
for (const [name, question, kind, message] of cases) {
  test(`opt-in: ${name}: ${kind}`, () => {
    const answer = decideOptIn({
      podLabels: op0,
      namespace: optedIn,
      configs: [],
      unreadable: [],
      ...question,
    });
    assert.equal(answer.kind, kind);
    if (message !== undefined) assert.match(answer.kind === "refuse" ? answer.what : "", message);
    if (answer.kind === "refuse") assert.ok(answer.hint);
    if (answer.kind === "inject") assert.equal(answer.config.metadata.name, "a");
  });
}

test("opt-in: a namespace asks by annotation or label, and the annotation wins", () => {
  const asks = (annotation: string | undefined, label: string | undefined) =>
    isOptedIn({
      annotations: annotation === undefined ? {} : { [annotations.enableProxy]: annotation },
      labels: label === undefined ? {} : { [labels.enableProxy]: label },
    });
  assert.equal(asks("true", undefined), true);
  assert.equal(asks(undefined, "true"), true);
  assert.equal(asks("false", "true"), false);
  assert.equal(asks("true", "false"), true);
  assert.equal(asks(undefined, undefined), false);
  assert.equal(asks("True", undefined), false);
});
