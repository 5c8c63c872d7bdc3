import assert from "node:assert/strict";
import { test } from "node:test";
import { parseResourceConfig } from "./resource-config.ts";

test("resource config: the example of the format is read, kinds and wildcard", () => {
  const text = `groupVersionKinds:
  v1: [Pod, ConfigMap]
  apps/v1:
    - StatefulSet
  ctrlmesh.kusionstack.io/v1alpha1: ['*']
`;
  assert.deepEqual(parseResourceConfig(text), [
    { group: "", version: "v1", kinds: ["Pod", "ConfigMap"] },
    { group: "apps", version: "v1", kinds: ["StatefulSet"] },
    { group: "ctrlmesh.kusionstack.io", version: "v1alpha1", kinds: "*" },
  ]);
});

test("resource config: no ConfigMap, no key or an empty list is nothing to label", () => {
  for (const text of [undefined, "", "  \n", "groupVersionKinds:", "groupVersionKinds: {}"]) {
    assert.deepEqual(parseResourceConfig(text), []);
  }
});

for (const { name, text, where, what } of [
  { name: "broken YAML", text: "groupVersionKinds: {v1: [", where: /^resource-config/, what: /./ },
  { name: "a list at the top", text: "- v1", where: /^resource-config/, what: /no map/ },
  {
    name: "another member",
    text: "groupVersionKind: {}",
    where: /^resource-config\.groupVersionKind:/,
    what: /no such/,
  },
  {
    name: "a list of versions",
    text: "groupVersionKinds: [v1]",
    where: /^groupVersionKinds:/,
    what: /no map/,
  },
  {
    name: "a kind in place of a list",
    text: "groupVersionKinds: {v1: Pod}",
    where: /\["v1"\]/,
    what: /no list/,
  },
  {
    name: "a plural",
    text: "groupVersionKinds: {v1: [pods]}",
    where: /\["v1"\]\[0\]/,
    what: /"pods" is no kind/,
  },
  {
    name: "a number",
    text: "groupVersionKinds: {v1: [Pod, 3]}",
    where: /\["v1"\]\[1\]/,
    what: /3 is no kind/,
  },
  {
    name: "a wildcard among kinds",
    text: "groupVersionKinds: {v1: ['*', Pod]}",
    where: /\["v1"\]/,
    what: /alone/,
  },
  {
    name: "a wildcard version",
    text: "groupVersionKinds: {'*': ['*']}",
    where: /\["\*"\]/,
    what: /no group version/,
  },
  {
    name: "three parts",
    text: "groupVersionKinds: {a/b/v1: ['*']}",
    where: /\["a\/b\/v1"\]/,
    what: /no group/,
  },
  {
    name: "a version twice",
    text: "groupVersionKinds: {v1: [Pod], v1: [Pod]}",
    where: /^resource-config/,
    what: /unique/,
  },
]) {
  test(`resource config: ${name} is INVALID_SHARDING_RESOURCES at its path`, () => {
    assert.throws(
      () => parseResourceConfig(text),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "INVALID_SHARDING_RESOURCES");
        assert.match(error.message, where);
        assert.match(error.message, what);
        return true;
      },
    );
  });
}
