import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServedResource } from "./discovery.ts";
import { filteredKinds, unfilteredKinds, unservedNames, withCompanions } from "./resource-patterns.ts";

const served = (
  group: string,
  resource: string,
  change: Partial<ServedResource> & { readonly without?: string } = {},
): ServedResource => ({
  group,
  version: "v1",
  resource,
  kind: resource,
  namespaced: true,
  verbs: new Set(["get", "list", "watch", "patch", "create"].filter((verb) => verb !== change.without)),
  hasStatus: false,
  ...change,
});

const cluster = [
  served("", "configmaps"),
  served("", "pods"),
  served("", "services"),
  served("", "endpoints"),
  served("", "events"),
  served("", "nodes", { namespaced: false }),
  served("", "bindings", { without: "list" }),
  served("apps", "deployments"),
  served("apps", "deployments", { version: "v1beta1" }),
  served("apiextensions.k8s.io", "customresourcedefinitions", { namespaced: false }),
  served("coordination.k8s.io", "leases"),
  served("events.k8s.io", "events"),
  served("metrics.k8s.io", "pods", { without: "patch" }),
];
const names = (kinds: readonly { group: string; resource: string }[]) =>
  kinds.map(({ group, resource }) => (group === "" ? resource : `${resource}.${group}`)).sort();
const all = { apiGroups: ["*"], resources: ["*"] };

test("D57: a limit on all resources leaves Nodes, Leases, Events, CRDs and what cannot be labelled unfiltered", () => {
  assert.deepEqual(names(filteredKinds([all], cluster)), [
    "configmaps",
    "deployments.apps",
    "endpoints",
    "pods",
    "services",
  ]);
  assert.deepEqual(names(unfilteredKinds([all], cluster)), [
    "bindings",
    "customresourcedefinitions.apiextensions.k8s.io",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "nodes",
    "pods.metrics.k8s.io",
  ]);
});

test("resource patterns: wildcards of groups and of resources count each on its own", () => {
  assert.deepEqual(names(filteredKinds([{ apiGroups: ["*"], resources: ["pods"] }], cluster)), ["pods"]);
  assert.deepEqual(names(filteredKinds([{ apiGroups: ["apps"], resources: ["*"] }], cluster)), [
    "deployments.apps",
  ]);
  assert.deepEqual(filteredKinds([{ apiGroups: [], resources: ["*"] }], cluster), []);
});

test("resource patterns: Leases and Events pass even when a limit names them", () => {
  const limit = { apiGroups: ["", "coordination.k8s.io"], resources: ["events", "leases"] };
  assert.deepEqual(filteredKinds([limit], cluster), []);
  assert.deepEqual(names(unfilteredKinds([limit], cluster)), [
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
  ]);
});

test("resource patterns: a cluster-scoped kind is filtered only when it is named", () => {
  const limit = { apiGroups: [""], resources: ["nodes"] };
  assert.deepEqual(names(filteredKinds([limit], cluster)), ["nodes"]);
  assert.equal(names(unfilteredKinds([limit], cluster)).includes("nodes"), false);
});

test("resource patterns: a kind with several versions counts once, in the server's preferred one", () => {
  const found = filteredKinds([{ apiGroups: ["apps"], resources: ["deployments"] }], cluster);
  assert.deepEqual(
    found.map(({ version }) => version),
    ["v1"],
  );
});

test("resource patterns: names that nobody serves are told, wildcards are not", () => {
  const limit = { apiGroups: ["", "apps"], resources: ["pods", "*"] };
  assert.deepEqual(unservedNames([limit], cluster), [{ group: "apps", resource: "pods" }]);
});

test("resource patterns: Endpoints are labelled only together with Services", () => {
  const endpoints = cluster.filter(({ resource }) => resource === "endpoints");
  assert.deepEqual(names(withCompanions(endpoints, cluster)), ["endpoints", "services"]);
  const pods = cluster.filter(({ resource, group }) => resource === "pods" && group === "");
  assert.deepEqual(names(withCompanions(pods, cluster)), ["pods"]);
});
