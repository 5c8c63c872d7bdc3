import assert from "node:assert/strict";
import { test } from "node:test";
import { annotations, defaultExemptNamespaces, defaultShardLabels } from "#api/names";
import type { AdmissionRequest, Verdict } from "./admission-review.ts";
import { mutateNamespace, mutateResource } from "./stamp.ts";

const settings = {
  shardLabels: defaultShardLabels,
  hash: "murmur3",
  exemptNamespaces: defaultExemptNamespaces,
} as const;
const optIn = annotations.enableProxy;

function request(part: Partial<AdmissionRequest>): AdmissionRequest {
  const kind = { group: "", version: "v1", kind: "Namespace" };
  const resource = { group: "", version: "v1", resource: "namespaces" };
  return { uid: "1", kind, resource, operation: "CREATE", ...part };
}
function patchOf(verdict: Verdict) {
  assert.equal(verdict.allowed, true);
  return verdict.allowed ? (verdict.patch ?? []) : [];
}
const namespace = (name: string, metadata: object = {}) => ({ metadata: { name, ...metadata } });

test("namespace webhook: a new namespace gets its three labels", () => {
  assert.deepEqual(patchOf(mutateNamespace(request({ object: namespace("team-a") }), settings)), [
    {
      op: "add",
      path: "/metadata/labels",
      value: {
        "ctrlmesh.kusionstack.io/sharding-hash": "19",
        "ctrlmesh.kusionstack.io/namespace": "team-a",
        "ctrlmesh.kusionstack.io/control": "true",
      },
    },
  ]);
});

test("D46: the webhook exempts the same namespaces as healing does", () => {
  for (const name of defaultExemptNamespaces) {
    assert.deepEqual(patchOf(mutateNamespace(request({ object: namespace(name) }), settings)), [], name);
  }
});

const label = "/metadata/labels/ctrlmesh.kusionstack.io~1enable-proxy";
const mirror: readonly [string, Partial<AdmissionRequest>, readonly unknown[]][] = [
  [
    "the annotation becomes the label",
    { object: namespace("kube-system", { labels: { a: "b" }, annotations: { [optIn]: "true" } }) },
    [{ op: "add", path: label, value: "true" }],
  ],
  [
    "any other text of it becomes false",
    {
      object: namespace("default", { labels: { [optIn]: "true" }, annotations: { [optIn]: "no, thanks!" } }),
    },
    [{ op: "replace", path: label, value: "false" }],
  ],
  [
    "the label goes with the annotation",
    {
      operation: "UPDATE",
      object: namespace("x", { labels: { [optIn]: "true" } }),
      oldObject: namespace("x", { labels: { [optIn]: "true" }, annotations: { [optIn]: "true" } }),
    },
    [{ op: "remove", path: label }],
  ],
  [
    "a label of the user stays",
    {
      operation: "UPDATE",
      object: namespace("x", { labels: { [optIn]: "true" } }),
      oldObject: namespace("x", { labels: { [optIn]: "true" } }),
    },
    [],
  ],
  ["a deletion changes nothing", { operation: "DELETE", oldObject: namespace("x") }, []],
];
for (const [name, part, patch] of mirror) {
  test(`namespace webhook: ${name}`, () => {
    assert.deepEqual(patchOf(mutateNamespace(request(part), settings)), patch);
  });
}

const shardLabels = {
  [defaultShardLabels.hash]: "5",
  [defaultShardLabels.namespace]: "team",
  [defaultShardLabels.control]: "true",
};
const known = (name: string, own: Readonly<Record<string, string>>) => ({
  cached: (asked: string) => (asked === name ? { name, labels: own, annotations: {} } : undefined),
});

test("resource webhook: an object gets the labels of its namespace, also after they were stripped", () => {
  const verdict = mutateResource(
    request({
      namespace: "team",
      operation: "UPDATE",
      object: { metadata: { name: "x", labels: { a: "b" } } },
    }),
    settings,
    known("team", { ...shardLabels, other: "1" }),
  );
  assert.deepEqual(
    patchOf(verdict).map((operation) => operation.op === "add" && operation.value),
    ["5", "team", "true"],
  );
});

for (const [name, namespaces] of [
  [
    "a namespace that is not controlled",
    known("team", { ...shardLabels, [defaultShardLabels.control]: "no" }),
  ],
  ["a namespace that is not known yet", known("other", shardLabels)],
] as const) {
  test(`resource webhook: an object of ${name} is left alone and never refused`, () => {
    const object = { metadata: { name: "x" } };
    assert.deepEqual(
      patchOf(mutateResource(request({ namespace: "team", object }), settings, namespaces)),
      [],
    );
  });
}

test("resource webhook: an exempt namespace is left alone whatever labels it has", () => {
  const object = { metadata: { name: "x" } };
  const verdict = mutateResource(
    request({ namespace: "default", object }),
    settings,
    known("default", shardLabels),
  );
  assert.deepEqual(patchOf(verdict), []);
});

test("resource webhook: a cluster-scoped object goes by its own name", () => {
  const verdict = mutateResource(
    request({ object: { metadata: { name: "team-a" } } }),
    settings,
    known("", {}),
  );
  assert.deepEqual(patchOf(verdict), [
    {
      op: "add",
      path: "/metadata/labels",
      value: { [defaultShardLabels.hash]: "19", [defaultShardLabels.control]: "true" },
    },
  ]);
});
