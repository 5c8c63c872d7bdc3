import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parseDocument } from "yaml";
import { version } from "#api/version";
import { kubernetesVersion, testedVersions } from "../cluster/versions.ts";
import { chart, helm, objectsOf, render, valueArguments } from "./helm.ts";
import { refusedValues, valuesSets } from "./values-sets.ts";

const root = join(chart, "../..");

test("chart: helm lint finds nothing, with any of the values", async () => {
  for (const values of Object.values(valuesSets)) {
    const argv = ["lint", chart, "--strict", "--kube-version", kubernetesVersion];
    assert.match(await helm([...argv, ...valueArguments(values)]), /0 chart\(s\) failed/);
  }
});

for (const [name, values] of Object.entries(valuesSets)) {
  test(`chart: with the values "${name}" it is as in testdata (--update rewrites it)`, async () => {
    const path = join(chart, "testdata", `${name}.yaml`);
    const rendered = await render(values);
    if (process.argv.includes("--update")) writeFileSync(path, rendered);
    assert.equal(rendered, readFileSync(path, "utf8"));
  });
}

test("chart: values that mean nothing are refused by their names", async () => {
  for (const [values, reason] of refusedValues) await assert.rejects(render(values), reason);
});

test("chart: it holds the kinds as they are in crds/, and Helm leaves them in the cluster", async () => {
  const kinds = (folder: string) =>
    globSync("*.yaml", { cwd: folder })
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), "utf8")]);
  assert.deepEqual(
    kinds(join(chart, "files/crds")),
    kinds(join(root, "crds")),
    "cp crds/*.yaml charts/ctrlmesh/files/crds/",
  );
  const crds = objectsOf(await render()).filter(({ kind }) => kind === "CustomResourceDefinition");
  assert.equal(crds.length, kinds(join(root, "crds")).length);
  for (const { metadata } of crds) assert.equal(metadata?.annotations?.["helm.sh/resource-policy"], "keep");
  const kept = objectsOf(await render({ "crds.keep": false })).filter(
    ({ metadata }) => metadata?.annotations?.["helm.sh/resource-policy"] !== undefined,
  );
  assert.deepEqual(kept, []);
});

test("chart: its versions are the program's", () => {
  const { version: chartVersion, appVersion } = parseDocument(
    readFileSync(join(chart, "Chart.yaml"), "utf8"),
  ).toJS();
  assert.deepEqual([chartVersion, appVersion], [version, version]);
});

test("chart: it installs on every version that is tested, and says of an older one that it does not", async () => {
  for (const tested of testedVersions) await render({}, tested);
  await assert.rejects(render({}, "1.29.9"), /incompatible with Kubernetes/);
});

test("chart: every alert has a runbook, and every runbook an alert", async () => {
  const [rule] = objectsOf(await render({ "metrics.prometheusRule.enabled": true })).filter(
    ({ kind }) => kind === "PrometheusRule",
  );
  const urls = [...JSON.stringify(rule).matchAll(/"runbook_url":"([^"]+)"/g)].map(([, url = ""]) =>
    basename(url),
  );
  assert.deepEqual(urls.sort(), globSync("*.md", { cwd: join(root, "docs/runbooks") }).sort());
});

test("chart: what alerts and dashboard ask for is measured", async () => {
  const asked = new Set(
    [
      ...readFileSync(join(chart, "templates/prometheusrule.yaml"), "utf8").matchAll(/ctrlmesh_\w+/g),
      ...readFileSync(join(chart, "files/dashboard.json"), "utf8").matchAll(/ctrlmesh_\w+/g),
    ].map(([name]) => name),
  );
  const measured = ["manager/metrics.ts", "proxy/metrics.ts"]
    .map((path) => readFileSync(join(root, path), "utf8"))
    .join();
  const unknown = [...asked].filter((name) => !isMeasured(name, measured));
  assert.deepEqual(unknown, []);
});

/** Names are written whole, or their prefix once for several. */
function isMeasured(name: string, sources: string): boolean {
  const bare = name.replace(/^ctrlmesh_(proxy|manager)_/, "");
  return (
    sources.includes(name) ||
    [bare, bare.replace(/_total$/, "")].some((each) => sources.includes(`"${each}"`))
  );
}
