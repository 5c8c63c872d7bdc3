import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { FloorTable } from "#proxy/apiserver/floor";
import { decide, type RequestFacts, type Rules } from "#proxy/apiserver/pipeline";
import { compileSnapshot } from "#proxy/snapshot";
import { systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";

/** Nanoseconds per decision, median of several rounds. `node bench/decide.ts` */

const selector = "ctrlmesh.kusionstack.io/sharding-hash in (0,1,10,11,12,13,14,15,2,3,4,5,6,7,8,9)";
const snapshot = compileSnapshot(
  create(SnapshotSchema, {
    id: { term: 1n, revision: 1n },
    shard: "bench",
    grant: Grant.GRANTED,
    limits: [{ groups: ["*"], resources: ["*"], selector }],
    unfilteredNamespaces: ["own", "kube-system"],
    fence: { buckets: [1, 2, 3] },
    hash: HashFunction.MURMUR3,
    epoch: 1n,
  }),
);
const floor = {
  group: "",
  resource: "pods",
  selector: snapshot.limitFor("", "pods")?.selector,
  resourceVersion: "1",
};
const floors = FloorTable.fromJSON(
  { floors: [floor] },
  {
    read: () => Promise.reject(new Error("the benchmark reads no floor")),
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    signal: AbortSignal.abort(),
    onKnown: () => {},
  },
);
const rules: Rules = { snapshot, floors, draining: false };

const accept = "application/vnd.kubernetes.protobuf,application/json";
const facts = (method: string, target: string): RequestFacts => ({
  method,
  target,
  accept,
  isUpgrade: false,
});
const cases: readonly (readonly [name: string, request: RequestFacts])[] = [
  ["get", facts("GET", "/api/v1/namespaces/team-17/configmaps/app-settings")],
  [
    "patch, fence on",
    facts("PATCH", "/apis/apps/v1/namespaces/team-17/deployments/web/status?fieldManager=op"),
  ],
  ["list", facts("GET", "/api/v1/pods?limit=500&resourceVersion=0")],
  [
    "watch",
    facts(
      "GET",
      "/api/v1/pods?allowWatchBookmarks=true&labelSelector=app%3Dweb&resourceVersion=123456&timeoutSeconds=384&watch=true",
    ),
  ],
  ["discovery", facts("GET", "/apis/apps/v1")],
  ["get, encoded path", facts("GET", "/api/v1/namespaces/team-17/configmaps/%61pp-settings")],
];

const rounds = 9;
const perRound = 200_000;

for (const [name, request] of cases) {
  const samples: number[] = [];
  let forwarded = 0;
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < perRound; i++) if (decide(request, rules).kind === "forward") forwarded++;
    samples.push(Number(process.hrtime.bigint() - start) / perRound);
  }
  samples.sort((a, b) => a - b);
  const median = samples[Math.floor(rounds / 2)] ?? Number.NaN;
  const outcome = forwarded > 0 ? "forwarded" : "refused";
  console.log(`${name.padEnd(20)} ${median.toFixed(0).padStart(6)} ns  ${outcome}`);
}
