import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseRequestInfo } from "#kube/wire/request-info";
import { compileSnapshot } from "../snapshot.ts";
import { fenceRefusal, isMutation } from "./write-fence.ts";

function snapshotWith(fenced: readonly string[]) {
  return compileSnapshot(
    create(SnapshotSchema, {
      id: { term: 1n, revision: 1n },
      shard: "shard-a",
      grant: Grant.GRANTED,
      limits: [{ groups: ["*"], resources: ["*"], selector: "team=a" }],
      unfilteredNamespaces: ["own"],
      fence: { namespaces: [...fenced] },
      hash: HashFunction.MURMUR3,
      epoch: 7n,
    }),
  );
}

const fenced = snapshotWith(["gone"]);

function outcome(method: string, target: string, isUpgrade: boolean): "read" | "refused" | "passes" {
  const info = parseRequestInfo(method, target);
  if (!isMutation(info, isUpgrade)) return "read";
  return fenceRefusal(info, fenced) === undefined ? "passes" : "refused";
}

const inGone = (rest: string) => `/api/v1/namespaces/gone/${rest}`;
const cases: readonly (readonly [method: string, target: string, expected: string])[] = [
  ["POST", inGone("pods"), "refused"],
  ["PUT", inGone("pods/p"), "refused"],
  ["PUT", inGone("pods/p/status"), "refused"],
  ["PATCH", inGone("pods/p"), "refused"],
  ["PATCH", inGone("configmaps/c?fieldManager=x&force=true"), "refused"],
  ["DELETE", inGone("pods/p"), "refused"],
  ["DELETE", inGone("pods"), "refused"],
  ["POST", inGone("pods/p/eviction"), "refused"],
  ["POST", inGone("pods/p/binding"), "refused"],
  ["POST", inGone("serviceaccounts/s/token"), "refused"],
  ["POST", inGone("pods/p/exec"), "refused"],
  ["GET", inGone("pods/p/exec?command=rm"), "refused"],
  ["GET", inGone("pods/p/attach"), "refused"],
  ["GET", inGone("pods/p/portforward"), "refused"],
  ["GET", inGone("pods/p/proxy/restart"), "refused"],
  ["GET", inGone("services/s/proxy/a/b"), "refused"],
  ["GET", "/api/v1/proxy/namespaces/gone/services/s/a", "refused"],
  ["FOO", inGone("pods/p"), "refused"],
  ["POST", "/apis/apps/v1/namespaces/gone/deployments", "refused"],
  ["PUT", "/apis/apps/v1/namespaces/%67one/deployments/d/scale", "refused"],
  ["POST", "/apis/coordination.k8s.io/v1/namespaces/gone/leasecandidates", "refused"],
  ["PATCH", "/apis/x.io/v1/namespaces/gone/events/e", "refused"],
  // The Namespace itself is judged by its name.
  ["PATCH", "/api/v1/namespaces/gone", "refused"],
  ["DELETE", "/api/v1/namespaces/gone", "refused"],
  ["PUT", "/api/v1/namespaces/gone/finalize", "refused"],
  ["PATCH", "/api/v1/namespaces/kept", "passes"],
  ["POST", "/api/v1/namespaces", "passes"],
  // A deletion over all namespaces reaches into those that have moved away.
  ["DELETE", "/apis/apps/v1/deployments", "refused"],
  ["DELETE", "/api/v1/pods?labelSelector=team%3Da", "refused"],
  ["DELETE", "/api/v1/events", "passes"],
  // What leader election, events and questions need.
  ["PUT", "/apis/coordination.k8s.io/v1/namespaces/gone/leases/l", "passes"],
  ["POST", inGone("events"), "passes"],
  ["PATCH", "/apis/events.k8s.io/v1/namespaces/gone/events/e", "passes"],
  ["POST", "/apis/authorization.k8s.io/v1/namespaces/gone/localsubjectaccessreviews", "passes"],
  ["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "passes"],
  ["POST", "/apis/authentication.k8s.io/v1/tokenreviews", "passes"],
  // What is not fenced.
  ["POST", "/api/v1/namespaces/kept/pods", "passes"],
  ["POST", "/api/v1/namespaces/own/pods", "passes"],
  ["DELETE", "/api/v1/namespaces/own/pods", "passes"],
  ["DELETE", "/api/v1/nodes/n", "passes"],
  ["POST", "/healthz", "read"],
  ["GET", inGone("pods"), "read"],
  ["GET", inGone("pods?watch=1"), "read"],
  ["HEAD", inGone("pods/p"), "read"],
  ["GET", inGone("pods/p/log"), "read"],
  ["GET", inGone("pods/p/status"), "read"],
];

for (const [method, target, expected] of cases) {
  test(`write fence: ${method} ${target} ${expected === "read" ? "is a read" : expected}`, () => {
    assert.equal(outcome(method, target, false), expected);
  });
}

test("write fence: a connection that upgrades on an unknown subresource counts as a write, logs do not", () => {
  const console = "/apis/kubevirt.io/v1/namespaces/gone/virtualmachineinstances/v/console";
  assert.equal(outcome("GET", console, false), "read");
  assert.equal(outcome("GET", console, true), "refused");
  assert.equal(outcome("GET", inGone("pods/p/log"), true), "read");
});

test("write fence: the refusal names namespace, shard and epoch", () => {
  const refusal = fenceRefusal(parseRequestInfo("POST", inGone("pods")), fenced) ?? "";
  for (const part of ['"gone"', '"shard-a"', "epoch 7"]) assert.ok(refusal.includes(part), part);
});

test("write fence: with nothing fenced a deletion over all namespaces passes", () => {
  const info = parseRequestInfo("DELETE", "/apis/apps/v1/deployments");
  assert.equal(fenceRefusal(info, snapshotWith([])), undefined);
});
