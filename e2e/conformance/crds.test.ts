import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { parseAnyApplication } from "#api/any-application";
import { parseCircuitBreaker } from "#api/circuit-breaker";
import { parseFaultInjection } from "#api/fault-injection";
import { kindDefinitions } from "#api/kinds";
import { parseMeshPeer } from "#api/mesh-peer";
import type { KubernetesObject } from "#api/meta";
import { parseShardingConfig } from "#api/sharding-config";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";

/** The CRDs and the examples on a real API server, as a user applies them. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const crds = join(root, "crds");
const original = (name: string): string => join(import.meta.dirname, "testdata", `original-${name}.yaml`);
const namespaces = ["billing-system", "ctrlmesh", "demo", "operator-demo"];
const crdNames = kindDefinitions.map(({ plural, group }) => `${plural}.${group}`);

const parsers: Readonly<Record<string, (value: unknown) => unknown>> = {
  ShardingConfig: parseShardingConfig,
  CircuitBreaker: parseCircuitBreaker,
  FaultInjection: parseFaultInjection,
  MeshPeer: parseMeshPeer,
  AnyApplication: parseAnyApplication,
};

/** How users apply: kubectl computes the patch, or the API server does. */
const ways = [
  { way: "client-side apply", flags: [] },
  { way: "server-side apply", flags: ["--server-side"] },
] as const;

const manifests = [
  ...globSync("examples/**/*.yaml", { cwd: root }).map((path) => join(root, path)),
  original("sharding-config"),
  original("mesh-peer"),
  original("root"),
].sort();

let plane: ControlPlane;
let user: Kubectl;

before(async () => {
  plane = await startControlPlane();
  user = kubectl(plane.kubeconfig);
  await establish(user);
  for (const namespace of namespaces) await user.ok(["create", "namespace", namespace]);
});

after(async () => {
  await plane?.[Symbol.asyncDispose]();
});

async function establish(admin: Kubectl, flags: readonly string[] = []): Promise<void> {
  await admin.ok(["apply", ...flags, "-f", crds]);
  await admin.ok(["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]);
}

/** Name to resourceVersion of what a manifest holds: a write that changes nothing keeps it. */
async function versions(file: string): Promise<Record<string, string>> {
  const objects = listOf(await user.json(["get", "-f", file]));
  return Object.fromEntries(
    objects.map(({ kind, metadata }) => [`${kind}/${metadata?.name}`, metadata?.resourceVersion ?? ""]),
  );
}

/** What users wrote of the kinds: the API server goes on writing their status for a while. */
async function written(admin: Kubectl): Promise<Record<string, string>> {
  const objects = listOf(await admin.json(["get", "-f", crds]));
  return Object.fromEntries(
    objects.map(({ kind, metadata: { name, generation, labels, annotations } = {} }) => [
      `${kind}/${name}`,
      JSON.stringify({ generation, labels, annotations }),
    ]),
  );
}

function listOf(value: unknown): KubernetesObject[] {
  const items: unknown = Reflect.get(Object(value), "items");
  return Array.isArray(items) ? items : [Object(value)];
}

async function get(...args: readonly string[]): Promise<KubernetesObject> {
  return Object(await user.json(["get", ...args]));
}

for (const { way, flags } of ways) {
  test(`CRDs: ${way} establishes every kind, and a second one changes nothing`, async () => {
    await using fresh = await startControlPlane();
    const admin = kubectl(fresh.kubeconfig);
    await establish(admin, flags);
    const first = await written(admin);
    assert.deepEqual(
      Object.keys(first).sort(),
      crdNames.map((name) => `CustomResourceDefinition/${name}`).sort(),
    );
    await admin.ok(["apply", ...flags, "-f", crds]);
    assert.deepEqual(await written(admin), first);
    const conditions = listOf(await admin.json(["get", "crd", ...crdNames])).flatMap(({ status }) => {
      const all: unknown = Reflect.get(Object(status), "conditions");
      return Array.isArray(all) ? all.map(({ type, status: is }) => `${type}=${is}`) : [];
    });
    // NonStructuralSchema, Terminating or a refused name would be a third one.
    assert.deepEqual(new Set(conditions), new Set(["NamesAccepted=True", "Established=True"]));
  });
}

for (const { way, flags } of ways) {
  for (const file of manifests) {
    test(`${way}: ${file.slice(root.length)} applies unchanged, and a second time changes nothing`, async () => {
      // Strict is what kubectl asks for: an unknown or doubled field would be an error, not a warning.
      const { exitCode, stderr } = await user.run(["apply", "--validate=strict", ...flags, "-f", file]);
      assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" });
      const first = await versions(file);
      await user.ok(["apply", ...flags, "-f", file]);
      assert.deepEqual(await versions(file), first);
      const stored = listOf(await user.json(["get", "-f", file]));
      const written: KubernetesObject[] = parseAllDocuments(readFileSync(file, "utf8")).map((each) =>
        each.toJS(),
      );
      for (const [index, object] of stored.entries()) {
        const parseKind = parsers[object.kind ?? ""];
        if (parseKind === undefined) continue;
        // What the API server filled in is what our parser takes an absent field for.
        const { spec: fromServer } = Object(parseKind(object));
        const { spec: fromFile } = Object(parseKind(written[index]));
        assert.deepEqual(fromServer, fromFile);
      }
      await user.ok(["delete", "--wait", "-f", file]);
    });
  }
}

const minimal = `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: ShardingConfig
metadata: {name: shard, namespace: demo}
spec:
  selector: {matchLabels: {app: op}}
  limits: [{relateResources: [{apiGroups: [""], resources: [configmaps]}]}]
`;

test("ShardingConfig: the API server fills in defaults outside lists and leaves lists as they were written", async () => {
  await user.ok(["apply", "-f", "-"], minimal);
  const { spec } = await get("shard", "shard", "-n", "demo");
  assert.deepEqual(spec, {
    ...parse(minimal).spec,
    onLoss: "Restart",
    handover: { settleSeconds: 30 },
    unreachable: "Wait",
    writeFence: "Moved",
  });
  await user.ok(["delete", "-f", "-"], minimal);
});

/** What `kubectl get -o wide` shows of testdata/kinds-with-status.yaml, without dates. */
const rows: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ShardingConfig: {
    PODS: "1/2",
    OWNED: "team-a",
    PENDING: "team-b",
    READY: "False",
    REASON: "Moving",
    REVOKING: "team-c",
    EPOCH: "7",
    LOCK: "op-lock",
    "ON-LOSS": "Restart",
  },
  CircuitBreaker: { READY: "True" },
  FaultInjection: { DISABLED: "true", READY: "True" },
  ManagerState: { LEADER: "manager-1", NAMESPACE: "ctrlmesh" },
  OwnershipLedger: { GROUP: "op", TERM: "3", EPOCH: "9", HASH: "murmur3" },
  MeshPeer: { ZONE: "us-west", STATUS: "Ready", ENDPOINTS: '["a:9102","b:9102"]' },
  AnyApplication: {
    ZONES: "2",
    OWNER: "us-west",
    STATE: "Placed",
    EPOCH: "4",
  },
};

test("kinds: kubectl get shows the columns of the kind, wide ones with -o wide, under every name", async () => {
  const file = join(import.meta.dirname, "testdata", "kinds-with-status.yaml");
  for (const document of parseAllDocuments(readFileSync(file, "utf8"))) {
    const object: KubernetesObject = document.toJS();
    const definition = kindDefinitions.find(({ kind }) => kind === object.kind);
    assert.ok(definition);
    await user.ok(["apply", "-f", "-"], JSON.stringify(object));
    if (definition.statusSubresource)
      await user.ok(["replace", "--subresource=status", "-f", "-"], JSON.stringify(object));
    const { plural, singular, group, version, shortNames, columns } = definition;
    const names = [plural, singular, `${plural}.${group}`, `${plural}.${version}.${group}`, ...shortNames];
    for (const name of names) {
      const target: string[] = [
        "get",
        name,
        "shown",
        ...(definition.scope === "Namespaced" ? ["-n", "demo"] : []),
      ];
      const row = tableRow(await user.ok([...target, "-o", "wide"]));
      assert.deepEqual(row, { NAME: "shown", ...rows[definition.kind] }, `kubectl ${target.join(" ")}`);
      const narrow = tableRow(await user.ok(target));
      assert.deepEqual(
        Object.keys(narrow).slice(1),
        columns
          .filter(({ wide, type }) => wide !== true && type !== "date")
          .map(({ name: column }) => column.toUpperCase()),
      );
    }
  }
});

/** Header to cell of a table of one row. Cells start where their header starts; dates are shown as ages. */
function tableRow(table: string): Record<string, string> {
  const [header = "", line = ""] = table.split("\n");
  const starts = [...header.matchAll(/\S+/g)].map(({ 0: name, index }) => ({ name, index }));
  return Object.fromEntries(
    starts
      .map(({ name, index }, at): [string, string] => [name, line.slice(index, starts[at + 1]?.index).trim()])
      .filter(([name]) => name !== "AGE" && name !== "STARTED"),
  );
}

test("ShardingConfig: the selector of a shard can't be changed, everything else can", async () => {
  const name = ["shardingconfig", "shard", "-n", "demo"];
  const patch = (spec: string) => user.run(["patch", ...name, "--type=merge", "-p", `{"spec": ${spec}}`]);
  await user.ok(["apply", "-f", "-"], minimal);
  for (const selector of [
    "{selector: {matchLabels: {app: other}}}",
    "{selector: {matchLabels: {more: labels}}}",
    "{selector: {matchExpressions: [{key: a, operator: Exists}]}}",
    "{selector: {matchLabels: null, matchExpressions: [{key: a, operator: Exists}]}}",
  ]) {
    const { exitCode, stderr } = await patch(JSON.stringify(parse(selector)));
    assert.equal(exitCode, 1, selector);
    assert.match(stderr, /spec\.selector: Invalid value: .*selector cannot be changed/);
  }
  const before = await get(...name);
  for (const spec of [
    '{"selector": {"matchExpressions": null}}',
    '{"onLoss": "Relist"}',
    '{"writeFence": "Always"}',
  ])
    assert.deepEqual((await patch(spec)).stderr, "");
  const changed = await get(...name);
  assert.deepEqual(Reflect.get(Object(changed.spec), "onLoss"), "Relist");
  assert.ok((changed.metadata?.generation ?? 0) > (before.metadata?.generation ?? 0));
  await user.ok(["delete", ...name]);
  await user.ok(["apply", "-f", "-"], minimal.replace("app: op", "app: other"));
  await user.ok(["delete", ...name]);
});

test("ShardingConfig: the selector of a root may change", async () => {
  await user.ok(["apply", "-f", original("root")]);
  const change = '{"spec": {"selector": {"matchLabels": {"app": "other"}, "matchExpressions": null}}}';
  await user.ok(["patch", "shard", "sharding-root", "-n", "operator-demo", "--type=merge", "-p", change]);
});

test("ShardingConfig: its status is written by its subresource alone, and leaves the generation as it is", async () => {
  await user.ok(["apply", "-f", "-"], minimal);
  const name = ["shard", "shard", "-n", "demo"];
  const patch = [
    "patch",
    ...name,
    "--type=merge",
    "-p",
    '{"status": {"podsReady": "1/1"}, "spec": {"onLoss": "Relist"}}',
  ];
  const before = await get(...name);
  await user.ok([...patch, "--subresource=status"]);
  const after = await get(...name);
  assert.deepEqual(after.status, { podsReady: "1/1" });
  assert.deepEqual(after.spec, before.spec);
  assert.equal(after.metadata?.generation, before.metadata?.generation);
  await user.ok(patch.map((word) => word.replace("1/1", "9/9")));
  const last = await get(...name);
  assert.deepEqual(last.status, { podsReady: "1/1" });
  assert.equal(Reflect.get(Object(last.spec), "onLoss"), "Relist");
});
