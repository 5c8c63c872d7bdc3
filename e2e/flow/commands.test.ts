import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { stringify } from "yaml";
import { type CommandOutput, ctrlmesh } from "../check/command.ts";
import { applySource, type Shard, shardingConfig, startOperators } from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh, root } from "./mesh.ts";

/** The commands that look at a mesh, against operators that run. */

const signal = new AbortController().signal;
const all = ["team-a", "team-b", "team-c", "team-d"];
const shards: readonly Shard[] = [
  { name: "left", ordinal: 0, namespaces: ["team-a", "team-b"] },
  { name: "right", ordinal: 1, namespaces: ["team-c", "team-d"] },
];

let mesh: Mesh;
let manager: Awaited<ReturnType<Mesh["manager"]>>;

before(async () => {
  mesh = await Mesh.open();
  manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  for (const namespace of all) {
    await mesh.namespace(namespace);
    for (const name of ["one", "two"]) await applySource(mesh, namespace, name);
  }
  await startOperators(mesh, shards);
});

after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

const call = (args: string, stdin?: string): Promise<CommandOutput> =>
  ctrlmesh(mesh.cluster.kubeconfig, args.split(" "), stdin);

async function answer<T>(args: string, exitCode = 0): Promise<T> {
  const output = await call(`${args} -o json`);
  assert.equal(output.exitCode, exitCode, `${output.stdout}${output.stderr}`);
  return JSON.parse(output.stdout) as T;
}

interface Proof {
  readonly exactlyOneOwner: boolean;
  readonly problems: readonly string[];
  readonly atoms: readonly { readonly held: number }[];
  readonly kinds: readonly {
    readonly kind: string;
    readonly byShard: Readonly<Record<string, number>>;
    readonly exempt: number;
    readonly objects: number;
    readonly unowned: { readonly count: number; readonly examples: readonly string[] };
    readonly unlabelled: { readonly count: number };
  }[];
}

test("status: shows manager, shards, pods and conditions, as a table and for programs", async () => {
  const { stdout, exitCode } = await call("status -n demo");
  assert.equal(exitCode, 0);
  assert.match(stdout, /^manager: ctrlmesh-manager-0 leads in ctrlmesh, version \d+\.\d+\.\d+, term \d+\n/);
  assert.match(stdout, /\ndemo {7}left {3}True {3}namespaces team-a, team-b +- +- +1\/1 +\d+\n/);
  assert.match(stdout, /\ndemo +digest-operator-1 +right +yes +yes +\d+\/\d+ +\d+\.\d+\.\d+\n/);
  assert.match(stdout, /\ndemo\/left: Gap \(Unclaimed\)/);
  interface Status {
    readonly shards: readonly { readonly name: string; readonly held: string; readonly ready: string }[];
  }
  const status = await answer<Status>("status");
  assert.deepEqual(
    status.shards.map(({ name, held, ready }) => [name, held, ready]),
    [
      ["left", "namespaces team-a, team-b", "True"],
      ["right", "namespaces team-c, team-d", "True"],
    ],
  );
});

test("status --watch: shows a change when it happens and ends with Ctrl-C", async () => {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), "status", "--watch", "-n", "demo"], {
    env: { PATH: "/usr/bin:/bin", KUBECONFIG: mesh.cluster.kubeconfig },
  });
  const exited = once(child, "exit");
  try {
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await eventually("the first look", () => /^manager: /.test(seen));
    // Its watch begins after what it printed.
    await pause(0);
    await mesh.apply(shardingConfig({ name: "third", ordinal: 2, namespaces: ["team-z"] }));
    await eventually("the new shard is shown", () => /\ndemo +third /.test(seen), { detail: () => seen });
    child.kill("SIGINT");
    assert.deepEqual((await exited)[0], 130);
  } finally {
    child.kill("SIGKILL");
    const name = { namespace: "demo", name: "third" };
    await mesh.client.delete(kinds.shardingConfigs, name, { signal });
    await eventually("the third shard is gone", async () => {
      const configs = await mesh.list(kinds.shardingConfigs, { namespace: "demo" });
      return configs.length === 2;
    });
    await mesh.shardsReady("demo");
  }
});

test("explain: names owner, rule, pod and labels of an object, by any name of its kind", async () => {
  for (const kind of ["cm", "ConfigMap"]) {
    const { stdout, exitCode } = await call(`explain ${kind}/one -n team-c`);
    assert.equal(exitCode, 0, stdout);
    assert.match(
      stdout,
      /^configmaps team-c\/one\n {2}bucket: {2}\d+ \(namespace team-c\)\n {2}labels: {2}right\n/,
    );
    assert.match(stdout, /\n {2}owner: {3}shard right \(namespace\/team-c is Held, epoch \d+\)\n/);
    assert.match(stdout, /\n {2}rule: {4}ctrlmesh\.kusionstack\.io\/namespace in \(team-c,team-d\)\n/);
    assert.match(stdout, /\n {2}pods: {4}digest-operator-1 \(connected, ready\)\n {2}seen by: right\n/);
  }
});

test("explain: says what is exempt, cluster-scoped, never sharded, or not sharded by anybody", async () => {
  const said = async (args: string) => (await call(`explain ${args}`)).stdout;
  assert.match(
    await said("lease/ctrlmesh-manager -n ctrlmesh"),
    /leases\.coordination\.k8s\.io are never sharded/,
  );
  assert.match(await said("cm/ctrlmesh-ca -n ctrlmesh"), /namespace ctrlmesh is exempt/);
  assert.match(await said("cm/ctrlmesh-ca -n demo"), /the operator's own namespace is seen by all/);
  assert.match(
    await said("namespace/team-a"),
    /\(cluster-scoped\)\n.*\n {2}labels: {2}right\n\nno operator is sharded by/,
  );
  assert.match(
    await said("serviceaccount/digest-operator -n demo"),
    /no operator is sharded by serviceaccounts/,
  );
});

test("explain: a kind or an object that is not there ends with a clear error", async () => {
  const kind = await call("explain confgmap/one -n team-c");
  assert.deepEqual([kind.exitCode, kind.stdout], [2, ""]);
  assert.match(
    kind.stderr,
    /INVALID_FLAG: KIND\/NAME: the API server has no kind "confgmap"; did you mean configmap\?/,
  );
  const object = await call("explain cm/none -n team-c");
  assert.equal(object.exitCode, 1);
  assert.match(object.stderr, /API_NOT_FOUND: .*configmaps "none" not found/);
});

test("verify: every object has one owner, and all of them were counted", async () => {
  const proof = await answer<Proof>("verify");
  assert.deepEqual([proof.exactlyOneOwner, proof.problems], [true, []]);
  const [configMaps] = proof.kinds;
  const total = (await mesh.list(kinds.configMaps)).length;
  const { left = 0, right = 0 } = configMaps?.byShard ?? {};
  assert.ok(left >= 4 && right >= 4, JSON.stringify(configMaps));
  assert.equal(configMaps?.objects, total);
  assert.equal(left + right + (configMaps?.exempt ?? 0), total);
  const { stdout } = await call("verify -n demo");
  assert.match(stdout, /\neach of \d+ objects has exactly one owner; \d+ exempt ones are seen by all\n$/);
});

interface Plan {
  readonly moves: readonly {
    readonly from: string;
    readonly to: string;
    readonly atoms: readonly string[];
    readonly namespaces: readonly string[];
    readonly objects: Readonly<Record<string, number>>;
  }[];
  readonly restarts: readonly { readonly pod: string; readonly shard: string }[];
  readonly warnings: readonly string[];
}

const moved: readonly Shard[] = [
  { name: "left", ordinal: 0, namespaces: ["team-a"] },
  { name: "right", ordinal: 1, namespaces: ["team-b", "team-c", "team-d"] },
];
const yamlOf = (configs: readonly Shard[]): string =>
  configs.map((config) => stringify(shardingConfig(config))).join("---\n");

test("plan: what is applied already moves nothing", async () => {
  const same = await call("plan -f - --detailed-exitcode", yamlOf(shards));
  assert.equal(same.exitCode, 0, same.stderr);
  assert.match(same.stdout, /^nothing moves\n\nno pod restarts\n\nwarning: demo: Gap: /);
});

test("plan: names what would move, how much, and which pods would restart", async () => {
  const { exitCode, stdout, stderr } = await call("plan -f - --detailed-exitcode", yamlOf(moved));
  assert.equal(exitCode, 3, stderr);
  const row =
    /^demo\/workload\.digest-operator {2}left {2}right {2}namespaces team-b {2}team-b +\d+ configmaps$/m;
  assert.match(stdout, row);
  assert.match(stdout, /^demo\/digest-operator-0 {2}left {3}it would see less \(onLoss: Restart\)$/m);
  const relist = moved.map((shard) => ({ ...shard, spec: { onLoss: "Relist" } }));
  const live = await call("plan -o json -f -", yamlOf(relist));
  assert.equal(live.exitCode, 0, live.stderr);
  const plan = JSON.parse(live.stdout) as Plan;
  assert.deepEqual(
    plan.moves.map(({ from, to, atoms, namespaces }) => ({ from, to, atoms, namespaces })),
    [{ from: "left", to: "right", atoms: ["namespace/team-b"], namespaces: ["team-b"] }],
  );
  assert.deepEqual(plan.restarts, []);
  const inTeamB = (await mesh.list(kinds.configMaps, { namespace: "team-b" })).length;
  assert.deepEqual(plan.moves[0]?.objects, { configmaps: inTeamB });
});

test("plan: tells overlaps and gaps, and what a new shard would get", async () => {
  const third: Shard = { name: "third", ordinal: 2, namespaces: ["team-d", "team-e"] };
  const { stdout, exitCode } = await call("plan -f - -o json", yamlOf([third]));
  assert.equal(exitCode, 0);
  const plan = JSON.parse(stdout) as Plan;
  assert.deepEqual(
    plan.moves.map(({ from, to, atoms }) => ({ from, to, atoms })),
    [{ from: "", to: "third", atoms: ["namespace/team-e"] }],
  );
  assert.ok(
    plan.warnings.some((warning) =>
      /^demo\/third: Overlap: right claims namespaces team-d too/.test(warning),
    ),
  );
});

test("plan: a file that could not be applied is refused, with its place", async () => {
  const bad = await call("plan -f -", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n");
  assert.equal(bad.exitCode, 2);
  assert.match(bad.stderr, /INVALID_RESOURCE: -: there is no ShardingConfig in it/);
  const [left] = moved;
  const other = yamlOf([{ ...(left ?? assert.fail()), ordinal: 5 }]);
  const immutable = await call("plan -f -", other);
  assert.equal(immutable.exitCode, 2);
  assert.match(immutable.stderr, /ShardingConfig demo\/left: the API server would refuse it: .*selector/);
});

test("plan: applied, it comes as the plan said, and each object still has one owner", async () => {
  for (const shard of moved) await mesh.apply(shardingConfig(shard));
  await eventually("the move is over", async () => {
    const configs = await mesh.list(kinds.shardingConfigs, { namespace: "demo" });
    const held = configs.map(
      ({ status }) => (status as { atoms?: { held?: string } } | undefined)?.atoms?.held,
    );
    return held.join("; ") === "namespaces team-a; namespaces team-b, team-c, team-d";
  });
  await mesh.shardsReady("demo");
  assert.equal((await answer<Proof>("verify")).exactlyOneOwner, true);
});

test("bundle: holds objects, logs, status and events, and none of the secrets that were planted", async () => {
  const secrets = [
    "planted1",
    "planted2",
    "planted3",
    "planted4",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2ln",
  ];
  const [inSecret = "", inConfigMap = "", inVariable = "", inAnnotation = "", inEvent = ""] = secrets;
  const namespace = "demo";
  const data = { password: Buffer.from(inSecret).toString("base64") };
  await mesh.apply({ apiVersion: "v1", kind: "Secret", metadata: { namespace, name: "db" }, data });
  const text = { settings: inConfigMap };
  await mesh.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, name: "app" }, data: text });
  const sets = { group: "apps", version: "v1", resource: "statefulsets", namespaced: true } as const;
  const operator = [{ name: "operator", env: [{ name: "DSN", value: inVariable }] }];
  await mesh.client.patch(
    sets,
    { namespace, name: "digest-operator" },
    {
      type: "strategic",
      body: {
        metadata: { annotations: { "example.com/note": inAnnotation } },
        spec: { template: { spec: { containers: operator } } },
      },
    },
    { signal },
  );
  const events = { group: "", version: "v1", resource: "events", namespaced: true } as const;
  const involvedObject = { kind: "Pod", namespace, name: "digest-operator-0" };
  const event = {
    metadata: { namespace, name: "leak" },
    involvedObject,
    message: `Bearer ${inEvent} refused`,
  };
  await mesh.client.create(events, { apiVersion: "v1", kind: "Event", ...event }, { signal });

  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-bundle-"));
  try {
    const archive = join(folder, "b.tar.gz");
    const { exitCode, stdout, stderr } = await call(`bundle -f ${archive}`);
    assert.deepEqual([exitCode, stdout], [0, `${archive}\n`], stderr);
    const untar = spawnSync("tar", ["xzf", archive, "-C", folder, "--strip-components=1"], {
      encoding: "utf8",
    });
    assert.deepEqual([untar.status, untar.stderr], [0, ""]);
    rmSync(archive);
    const read = (path: string): string => readFileSync(join(folder, path), "utf8");
    assert.match(read("objects/shardingconfigs.yaml"), /name: left/);
    assert.match(read("objects/ownershipledgers.yaml"), /atom: bucket\/31/);
    assert.match(read("namespaces/demo/pods/digest-operator-0/ctrlmesh-proxy.log"), /"part":"proxy"/);
    assert.match(read("namespaces/demo/pods/digest-operator-0/pod.yaml"), /ctrlmesh-proxy/);
    assert.match(read("namespaces/demo/statefulsets.yaml"), /name: DSN\n +value: "\[redacted\]"/);
    assert.match(read("namespaces/demo/events.yaml"), /Bearer \[redacted\] refused/);
    assert.match(read("namespaces/demo/secrets.txt"), /^db$/m);
    assert.match(read("namespaces/ctrlmesh/secrets.txt"), /^ctrlmesh-ca$/m);
    assert.match(read("status.json"), /"leader": "ctrlmesh-manager-0"/);
    for (const secret of [...secrets, "PRIVATE KEY", data.password]) {
      const found = spawnSync("grep", ["-rlF", "--", secret, folder], { encoding: "utf8" });
      assert.equal(found.stdout, "", `${secret} is in the dump`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("check: finds no fault in the mesh but that this API server has no admission policies", async () => {
  interface Report {
    readonly findings: readonly { readonly level: string; readonly code: string }[];
  }
  const { findings } = await answer<Report>("check", 1);
  const errors = findings.filter(({ level }) => level === "error").map(({ code }) => code);
  assert.deepEqual(errors, ["ApiServerTooOld"]);
});

test("verify and explain: an object without labels, and one with those of another namespace, break the proof", async () => {
  // The manager would put the labels right at once.
  await manager.stop("SIGKILL");
  const relabel = async (name: string, labels: Readonly<Record<string, string | null>>) => {
    const patch = { type: "merge", body: { metadata: { labels } } } as const;
    await mesh.client.patch(kinds.configMaps, { namespace: "team-a", name }, patch, { signal });
  };
  const hash = "ctrlmesh.kusionstack.io/sharding-hash";
  const key = "ctrlmesh.kusionstack.io/namespace";
  await relabel("one", { [hash]: null, [key]: null });
  const unlabelled = await answer<Proof>("verify", 1);
  assert.equal(unlabelled.kinds[0]?.unlabelled.count, 1);
  assert.deepEqual(unlabelled.kinds[0]?.unowned, { count: 1, examples: ["team-a/one"] });
  assert.deepEqual(unlabelled.problems, [
    "demo/workload.digest-operator: 1 configmaps have no owner, for example team-a/one",
  ]);
  const explained = await call("explain cm/one -n team-a");
  assert.equal(explained.exitCode, 1);
  assert.match(explained.stdout, /labels: {2}missing/);
  assert.match(explained.stdout, /problem: no shard of demo\/workload\.digest-operator sees it/);

  await relabel("one", { [hash]: "0", [key]: "team-c" });
  const mislabelled = await answer<Proof>("verify", 1);
  assert.deepEqual(mislabelled.problems, [
    "demo/workload.digest-operator: 1 configmaps carry the shard labels of another namespace, for example team-a/one",
  ]);
  const wrong = await call("explain cm/one -n team-a");
  assert.match(wrong.stdout, /labels: {2}wrong/);
  assert.match(wrong.stdout, /problem: left owns it and right sees it/);
});

test("verify: a ledger that nobody could have written breaks the proof", async () => {
  const [ledger] = await mesh.list(kinds.ledgers, { namespace: "demo" });
  const spec = ledger?.spec as { atoms: { atom: string }[] };
  const name = { namespace: "demo", name: ledger?.metadata?.name ?? "" };
  const atoms = spec.atoms.filter(({ atom }) => atom !== "bucket/7");
  const patch = { type: "merge", body: { spec: { atoms } } } as const;
  await mesh.client.patch(kinds.ledgers, name, patch, { signal });
  const proof = await answer<Proof>("verify", 1);
  assert.match(proof.problems.join(), /ledger demo\/workload\.digest-operator: .*has 31 of 32 buckets/);
});
