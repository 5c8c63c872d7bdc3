import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { createMetrics, labelSetsLimit, type Metrics } from "./metrics.ts";
import { createPrometheusMetrics } from "./prometheus.ts";

const registries: readonly [string, () => Metrics][] = [
  ["own registry", createMetrics],
  ["prom-client", () => createPrometheusMetrics({ processMetrics: false })],
];

/** Sample lines by name and labels; comments and empty lines are left out. */
function samples(page: string): Map<string, string> {
  const lines = page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
  );
}

for (const [title, create] of registries) {
  test(`metrics, ${title}: counters, gauges and histograms appear with type, help and values`, async () => {
    const metrics = create();
    const requests = metrics.counter({
      name: "ctrlmesh_proxy_requests_total",
      help: "Requests.",
      labels: ["verb"],
    });
    requests.add(1, ["list"]);
    requests.add(2, ["list"]);
    requests.add(1, ["watch"]);
    metrics.counter({ name: "ctrlmesh_proxy_dials_total", help: "Dials." });
    let refused = 5;
    metrics.readCounter({
      name: "ctrlmesh_proxy_refusals_total",
      help: "Refusals.",
      labels: ["code"],
      read: () => [[["NO_SNAPSHOT"], refused]],
    });
    await metrics.render();
    refused = 6;
    metrics.gauge({ name: "ctrlmesh_proxy_snapshot_revision", help: "Revision.", read: () => 7 });
    const depth = metrics.gauge({ name: "ctrlmesh_proxy_queue_depth", help: "Depth.", labels: ["queue"] });
    depth.set(3, ["a"]);
    const durations = metrics.histogram({
      name: "ctrlmesh_proxy_switch_seconds",
      help: "Time.",
      buckets: [1, 2],
    });
    for (const seconds of [0.5, 1, 1.5, 9]) durations.observe(seconds);
    const page = await metrics.render();
    assert.match(
      page,
      /# HELP ctrlmesh_proxy_requests_total Requests\.\n# TYPE ctrlmesh_proxy_requests_total counter\n/,
    );
    assert.deepEqual(
      samples(page),
      new Map([
        ['ctrlmesh_proxy_requests_total{verb="list"}', "3"],
        ['ctrlmesh_proxy_requests_total{verb="watch"}', "1"],
        ["ctrlmesh_proxy_dials_total", "0"],
        ['ctrlmesh_proxy_refusals_total{code="NO_SNAPSHOT"}', "6"],
        ["ctrlmesh_proxy_snapshot_revision", "7"],
        ['ctrlmesh_proxy_queue_depth{queue="a"}', "3"],
        ['ctrlmesh_proxy_switch_seconds_bucket{le="1"}', "2"],
        ['ctrlmesh_proxy_switch_seconds_bucket{le="2"}', "3"],
        ['ctrlmesh_proxy_switch_seconds_bucket{le="+Inf"}', "4"],
        ["ctrlmesh_proxy_switch_seconds_sum", "12"],
        ["ctrlmesh_proxy_switch_seconds_count", "4"],
      ]),
    );
  });

  test(`metrics, ${title}: label values are escaped`, async () => {
    const metrics = create();
    metrics.counter({ name: "ctrlmesh_proxy_x_total", help: "X.", labels: ["l"] }).add(1, ['a"b\\c\nd']);
    assert.match(await metrics.render(), /ctrlmesh_proxy_x_total\{l="a\\"b\\\\c\\nd"\} 1\n/);
  });

  test(`metrics, ${title}: a name outside our scheme is refused`, () => {
    assert.throws(() => create().counter({ name: "requests", help: "x" }), CtrlmeshError);
  });
}

test("metrics: label sets beyond the bound are counted together, so that memory stays bounded", async () => {
  const metrics = createMetrics();
  const counter = metrics.counter({ name: "ctrlmesh_proxy_x_total", help: "X.", labels: ["l"] });
  for (let index = 0; index < labelSetsLimit + 10; index++) counter.add(1, [String(index)]);
  const page = samples(await metrics.render());
  assert.equal(page.size, labelSetsLimit + 1);
  assert.equal(page.get('ctrlmesh_proxy_x_total{l="overflow"}'), "10");
});

test("metrics: the same name twice, a wrong number of labels and a falling counter are mistakes of ours", () => {
  const metrics = createMetrics();
  const counter = metrics.counter({ name: "ctrlmesh_proxy_x_total", help: "X.", labels: ["l"] });
  assert.throws(() => metrics.gauge({ name: "ctrlmesh_proxy_x_total", help: "X." }), /exists already/);
  assert.throws(() => counter.add(1), /1 label values expected, got 0/);
  assert.throws(() => counter.add(-1, ["a"]), /cannot go down/);
});
