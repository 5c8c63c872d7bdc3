import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { kindDefinitions } from "#api/kinds";
import type { KubernetesObject } from "#api/meta";
import { badCircuitBreakers, badFaultInjections } from "#api/testdata/bad-policies";
import type { BadResource } from "#api/testdata/bad-resource";
import { badShardingConfigs } from "#api/testdata/bad-sharding-configs";
import { badAnyApplications, badManagerStates, badMeshPeers } from "#api/testdata/bad-states";
import { apiStatusOf } from "#kube/client/api-error";
import type { KubeConnection, ResourceKind } from "#kube/client/client";
import { connect } from "#kube/client/connect";
import { systemClock } from "#runtime/clock";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { kubectl } from "../cluster/kubectl.ts";

/** The tables of api/testdata against a real API server: what our parser refuses, the CRD refuses too. */

const crds = fileURLToPath(new URL("../../crds", import.meta.url));
const tables: readonly (readonly BadResource[])[] = [
  badShardingConfigs,
  badCircuitBreakers,
  badFaultInjections,
  badManagerStates,
  badMeshPeers,
  badAnyApplications,
];

let plane: ControlPlane;
let client: KubeConnection;

before(async () => {
  plane = await startControlPlane();
  const user = kubectl(plane.kubeconfig);
  await user.ok(["apply", "-f", crds]);
  await user.ok(["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]);
  client = await connect(
    { kubeconfigFile: plane.kubeconfig, userAgent: "ctrlmesh-test" },
    { clock: systemClock, random: Math.random },
  );
});

after(async () => {
  await client?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

test("CRDs: there is a table of bad resources for each kind but the ledger, which no user writes", () => {
  const objects: KubernetesObject[] = tables.flat().map(({ yaml }) => parse(yaml));
  const seen = new Set(objects.map(({ kind }) => kind));
  assert.deepEqual(
    kindDefinitions.map(({ kind }) => kind).filter((kind) => !seen.has(kind)),
    ["OwnershipLedger"],
  );
});

for (const bad of tables.flat()) {
  const title = bad.title.replace(/^(D\d+: )?(.*?),?$/, "$1$2");
  test(`${title}: is refused by the API server at ${bad.where}`, async () => {
    const object: KubernetesObject = parse(bad.yaml);
    const refusal = await refusalOf(kindOf(object), object, bad.where.startsWith("status."));
    assert.equal(refusal?.httpStatus, 422, refusal?.message ?? "the API server accepted it");
    // Both name a path; the API server joins members by dots only, and a rule of a list may name the entry.
    const paths = [
      ...(refusal?.message ?? "").matchAll(/(?:^|[\s[])((?:spec|status|metadata)[^\s:]*):/g),
    ].map(([, path = ""]) => path);
    assert.ok(paths.includes(bad.where.replace(/\[(\D[^\]]*)\]/g, ".$1")), refusal?.message);
  });
}

async function refusalOf(kind: ResourceKind, object: KubernetesObject, inStatus: boolean) {
  const signal = AbortSignal.timeout(30_000);
  try {
    // A status in a create is dropped before it is looked at: it goes in by its subresource.
    const created = await client.create(kind, object, { signal });
    const name = { name: "bad", ...(kind.namespaced ? { namespace: "default" } : {}) };
    try {
      if (inStatus) {
        const patch = { type: "merge", body: { status: object.status } } as const;
        await client.patch(kind, name, patch, { signal, subresource: "status" });
      }
      return undefined;
    } finally {
      await client.delete(kind, name, { signal, uid: created.metadata?.uid ?? "" });
    }
  } catch (error) {
    const status = apiStatusOf(error);
    if (status === undefined) throw error;
    return status;
  }
}

function kindOf(object: KubernetesObject): ResourceKind {
  const definition = kindDefinitions.find(({ kind }) => kind === object.kind);
  assert.ok(definition, `${object.kind} is no kind of ours`);
  const { group, version, plural, scope } = definition;
  return { group, version, resource: plural, namespaced: scope === "Namespaced" };
}
