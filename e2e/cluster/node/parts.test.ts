import assert from "node:assert/strict";
import { test } from "node:test";
import { addressPlan } from "./address-plan.ts";
import { importedNames } from "./image-store.ts";
import { checkName } from "./node-cluster.ts";
import { type PartFacts, partCommand } from "./parts.ts";

const options = { featureGates: {}, apiserverArgs: [], controllerManagerArgs: [], audit: false };
const facts: PartFacts = {
  nodeName: "a-1",
  directory: "/clusters/a",
  plan: addressPlan(3),
  cgroup: "ctrlmesh-a-01234567",
  version: "1.36.3",
  options,
};

test("parts: the API server gets gates, further arguments last, and an audit log only when it is asked for", () => {
  const plain = partCommand("kube-apiserver", facts);
  assert.equal(
    plain.some((argument) => argument.startsWith("--audit") || argument.startsWith("--feature")),
    false,
  );
  const command = partCommand("kube-apiserver", {
    ...facts,
    options: { ...options, featureGates: { WatchList: false }, apiserverArgs: ["--v=4"], audit: true },
  });
  assert.ok(command.includes("--feature-gates=WatchList=false"));
  assert.ok(command.includes("--audit-log-path=/clusters/a/audit.log"));
  assert.equal(command.at(-1), "--v=4");
});

test("parts: programs of Kubernetes are those of the cluster's version", () => {
  for (const part of [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
  ] as const) {
    const [program = ""] = partCommand(part, { ...facts, version: "1.34.4" });
    assert.match(program, new RegExp(`/kubernetes-1\\.34\\.4/bin/${part}$`));
  }
});

test("images: the names in what the runtime says of an import", () => {
  const said = `unpacking localhost/probe:1 (sha256:5e1f)...done
unpacking docker.io/library/x@sha256:00 (sha256:77aa)...done
`;
  assert.deepEqual(importedNames(said), ["localhost/probe:1", "docker.io/library/x@sha256:00"]);
  assert.deepEqual(importedNames(""), []);
});

test("cluster names: what can be part of names of nodes, control groups and folders, and nothing else", () => {
  for (const name of ["a", "default", "test-01234567", "a".repeat(20)]) checkName(name);
  for (const name of ["", "A", "a_b", "-a", "a-", "a/b", "..", "a".repeat(21), "a b"])
    assert.throws(() => checkName(name), { code: "INVALID_SETTING" }, name);
});
