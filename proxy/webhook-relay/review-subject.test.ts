import assert from "node:assert/strict";
import { test } from "node:test";
import { subjectOf } from "./review-subject.ts";
import { reviewTimeoutMs } from "./review-timeout.ts";

const review = (request: unknown) =>
  Buffer.from(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request }));
const configMaps = { group: "", version: "v1", resource: "configmaps" };
const namespaces = { group: "", version: "v1", resource: "namespaces" };

test("subjectOf: an object's namespace is that of the request", () => {
  assert.deepEqual(subjectOf(review({ resource: configMaps, namespace: "shop", name: "a" })), {
    kind: "namespaced",
    namespace: "shop",
  });
});

test("subjectOf: a Namespace is in itself, by request, by name, or by its object where it is created", () => {
  const expected = { kind: "namespaced", namespace: "shop" };
  assert.deepEqual(subjectOf(review({ resource: namespaces, namespace: "shop", name: "shop" })), expected);
  assert.deepEqual(subjectOf(review({ resource: namespaces, name: "shop" })), expected);
  const object = { metadata: { name: "shop" } };
  assert.deepEqual(subjectOf(review({ resource: namespaces, name: "", object })), expected);
  assert.deepEqual(
    subjectOf(review({ resource: namespaces, object: { metadata: { generateName: "s-" } } })),
    {
      kind: "cluster-scoped",
    },
  );
});

test("subjectOf: kinds of other groups that are called namespaces are cluster-scoped, as nodes are", () => {
  for (const resource of [
    { ...namespaces, group: "example.com" },
    { ...namespaces, resource: "nodes" },
  ])
    assert.deepEqual(subjectOf(review({ resource, namespace: "", name: "shop" })), {
      kind: "cluster-scoped",
    });
});

test("subjectOf: what is no AdmissionReview belongs to no shard", () => {
  const conversion = { kind: "ConversionReview", request: { namespace: "shop" } };
  const bodies = [
    "",
    "{",
    "null",
    "[]",
    '"AdmissionReview"',
    '{"kind":"AdmissionReview"}',
    JSON.stringify(conversion),
  ];
  for (const body of bodies) assert.deepEqual(subjectOf(Buffer.from(body)), { kind: "other" }, body);
});

test("reviewTimeoutMs: what the API server says, at most 30 s, else 10 s", () => {
  const cases: [string, number][] = [
    ["/validate?timeout=5s", 5_000],
    ["/validate?a=b&timeout=1m", 30_000],
    ["/validate?timeout=1.5s", 1_500],
    ["/validate?timeout=250ms", 250],
    ["/validate?timeout=0s", 10_000],
    ["/validate?timeout=-5s", 10_000],
    ["/validate?timeout=", 10_000],
    ["/validate", 10_000],
  ];
  for (const [url, expected] of cases) assert.equal(reviewTimeoutMs(url), expected, url);
});
