import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { renderPlot } from "./plot.ts";
import type { Sample, SoakRecord } from "./record.ts";
import { plotOf, withFigures } from "./render.ts";

const bytesPerMiB = 1024 * 1024;

const samples: Sample[] = Array.from({ length: 40 }, (_, index) => ({
  atSeconds: index * 5,
  isAtRest: index % 4 === 3,
  heapBytes: 14 * bytesPerMiB,
  externalBytes: 15 * bytesPerMiB,
  arrayBufferBytes: 3 * bytesPerMiB,
  rssBytes: 140 * bytesPerMiB,
  socketObjects: 120,
  timerObjects: 150,
  sockets: 120,
  descriptors: 140,
  resources: {},
}));

const record: SoakRecord = {
  startedAt: "2026-01-02T03:04:05.000Z",
  commit: "0123456789abcdef",
  node: "v24.0.0",
  command: "node e2e/soak/main.ts --minutes 3",
  seed: 5,
  minutes: 3,
  snapshots: 170,
  samples,
  marks: [
    { atSeconds: 70, what: "restart of the API server" },
    { atSeconds: 100, what: "manager away for 20 s" },
  ],
  load: {
    answers: {},
    requests: 12_345,
    requestsByProtocol: { http1: 6_000, http2: 6_345 },
    watchesOpened: 400,
    watchesOpen: 0,
    watchEvents: 30_000,
    bookmarks: 300,
    watchesExpired: 200,
    retries: 1,
    violations: 0,
    firstViolations: [],
  },
};

test("render: puts figures into the page, and again in place of themselves", () => {
  const page = readFileSync(new URL("../../docs/soak.md", import.meta.url), "utf8");
  const once = withFigures(page, record);
  assert.match(once, /12,345 requests \(6,000 over HTTP\/1\.1, 6,345 over HTTP\/2\)/);
  assert.match(once, /1 restarts of the API server/);
  assert.match(once, /\| live heap \| 14 MiB \| 0 \(0 %\) \| 0 to 0 \| holds \|/);
  assert.equal(withFigures(once, record), once);
  assert.throws(() => withFigures("no place", record), /no place/);
});

test("render: the plot has a panel for heap, memory and sockets, and a line for each restart", () => {
  const svg = renderPlot(plotOf({ ...record, requests: record.load.requests }));
  assert.equal(svg.match(/<polyline/g)?.length, 4);
  assert.equal(svg.match(/<circle/g)?.length, 20, "two panels of ten rests each");
  assert.equal(svg.match(/stroke="#b0b0b0"/g)?.length, 1);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});
