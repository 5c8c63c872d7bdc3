import assert from "node:assert/strict";
import { test } from "node:test";
import { isRecord } from "#kube/client/api-error";
import { eventually } from "#kube/client/eventually";
import type { MemoryApi } from "#kube/client/memory-api";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { protectLabelsPolicy, stampPolicy, supportsMutatingPolicies } from "./admission-policy.ts";
import type { ServedResource } from "./discovery.ts";
import { keepPolicies } from "./keep-policies.ts";
import { optInPolicy, requireProxyPolicy } from "./opt-in-policy.ts";
import { serve, testSettings as settings, testCluster, testKind } from "./testing-cluster.ts";

const signal = AbortSignal.timeout(20_000);
const configMaps = testKind("configmaps", "ConfigMap");
const things = testKind("things", "Thing", "demo.example.com");
const shardingConfigs = testKind("shardingconfigs", "ShardingConfig", "ctrlmesh.kusionstack.io");
const allPolicies = {
  mutatingadmissionpolicies: "MutatingAdmissionPolicy",
  validatingadmissionpolicies: "ValidatingAdmissionPolicy",
};

function publish(api: MemoryApi, path: string, kinds: readonly ServedResource[]): void {
  const index = api.documents.get("/openapi/v3");
  const paths = isRecord(index) && isRecord(index.paths) ? index.paths : {};
  const url = `/openapi/v3/${path}?hash=${kinds.length}`;
  api.documents.set("/openapi/v3", { paths: { ...paths, [path]: { serverRelativeURL: url } } });
  const schemas = kinds.map(({ group, version, kind }) => [
    `${group}.${kind}`,
    { "x-kubernetes-group-version-kind": [{ group, version, kind }] },
  ]);
  api.documents.set(url, { components: { schemas: Object.fromEntries(schemas) } });
}

function policies(api: MemoryApi, kinds: Readonly<Record<string, string>> = allPolicies) {
  const clock = new FakeClock();
  const stop = new AbortController();
  serve(api, "admissionregistration.k8s.io", kinds);
  api.documents.set("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
    status: { userInfo: { username: "system:serviceaccount:ctrlmesh:manager" } },
  });
  const world = {
    served: [configMaps, things],
    ending: [] as ServedResource[],
    wanted: [configMaps, things],
    tell: () => {},
  };
  const catalog = {
    served: () => world.served,
    ending: () => world.ending,
    onChange: (listener: () => void) => {
      world.tell = listener;
      return { [Symbol.dispose]() {} };
    },
  };
  const healing = { kinds: () => world.wanted, onKinds: () => ({ [Symbol.dispose]() {} }) };
  const deps = { client: api, clock, log, random: () => 0, catalog, healing, settings };
  const running = keepPolicies({ ...deps, signal: stop.signal });
  return {
    world,
    clock,
    stamped: () => ruledResources(api),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

function ruledResources(api: MemoryApi): unknown[] | undefined {
  const spec = api.peek("mutatingadmissionpolicies", "ctrlmesh-stamp-shard-labels")?.spec;
  const constraints = isRecord(spec) && isRecord(spec.matchConstraints) ? spec.matchConstraints : undefined;
  const rules = constraints?.resourceRules;
  if (!Array.isArray(rules)) return undefined;
  return rules.flatMap((rule: unknown) =>
    isRecord(rule) && Array.isArray(rule.resources) ? rule.resources : [],
  );
}

test("policies: a kind joins the stamp rule only when its schema was published for more than 10 s", async () => {
  const api = testCluster();
  publish(api, "api/v1", [configMaps]);
  await using manager = policies(api);
  await eventually(() => manager.clock.nextDueInMs === 3000, "the first round");
  assert.equal(manager.stamped(), undefined, "a policy without a settled kind");
  await roundsFor(manager.clock, 9_000);
  assert.equal(manager.stamped(), undefined);
  await roundsFor(manager.clock, 3_000);
  assert.deepEqual(manager.stamped(), ["configmaps"]);
  publish(api, "apis/demo.example.com/v1", [things]);
  await roundsFor(manager.clock, 9_000);
  assert.deepEqual(manager.stamped(), ["configmaps"]);
  await roundsFor(manager.clock, 6_000);
  assert.deepEqual(manager.stamped(), ["configmaps", "things"]);
});

test("policies: a kind leaves the rule when its CRD is being deleted, and must settle anew", async () => {
  const api = testCluster();
  publish(api, "api/v1", [configMaps]);
  publish(api, "apis/demo.example.com/v1", [things]);
  await using manager = policies(api);
  await eventually(() => manager.clock.nextDueInMs === 3000, "the first round");
  await roundsFor(manager.clock, 12_000);
  assert.deepEqual(manager.stamped(), ["configmaps", "things"]);
  manager.world.ending = [things];
  manager.world.tell();
  await eventually(() => manager.stamped()?.length === 1, "things to leave the rule");
  manager.world.ending = [];
  manager.world.tell();
  await roundsFor(manager.clock, 9_000);
  assert.deepEqual(manager.stamped(), ["configmaps"]);
  await roundsFor(manager.clock, 6_000);
  assert.deepEqual(manager.stamped(), ["configmaps", "things"]);
});

test("policies: a new leader leaves the stamp rule as it finds it, but for kinds that are gone", async () => {
  const api = testCluster();
  publish(api, "api/v1", [configMaps]);
  publish(api, "apis/demo.example.com/v1", [things]);
  {
    await using manager = policies(api);
    await eventually(() => manager.clock.nextDueInMs === 3000, "the first round");
    await roundsFor(manager.clock, 12_000);
    assert.deepEqual(manager.stamped(), ["configmaps", "things"]);
  }
  const before = api.calls.length;
  await using next = policies(api);
  await eventually(() => next.clock.nextDueInMs !== undefined, "the first round of the next leader");
  assert.deepEqual(next.stamped(), ["configmaps", "things"]);
  assert.deepEqual(
    api.calls.slice(before).filter((call) => call.startsWith("delete")),
    [],
  );
  next.world.ending = [things];
  next.world.tell();
  await eventually(() => next.stamped()?.length === 1, "things to leave the rule");
  next.world.ending = [];
  next.world.tell();
  await roundsFor(next.clock, 9_000);
  assert.deepEqual(next.stamped(), ["configmaps"], "what comes back settles anew");
});

test("policies: a new leader stamps what it finds until it knows what is wanted", async () => {
  const api = testCluster();
  publish(api, "api/v1", [configMaps]);
  publish(api, "apis/demo.example.com/v1", [things]);
  {
    await using manager = policies(api);
    await eventually(() => manager.clock.nextDueInMs === 3000, "the first round");
    await roundsFor(manager.clock, 12_000);
  }
  await using next = policies(api);
  next.world.wanted = [];
  await eventually(() => next.clock.nextDueInMs !== undefined, "the first round of the next leader");
  assert.deepEqual(next.stamped(), ["configmaps", "things"]);
  next.world.wanted = [configMaps];
  next.world.tell();
  await roundsFor(next.clock, 50_000);
  assert.deepEqual(next.stamped(), ["configmaps", "things"]);
  await roundsFor(next.clock, 30_000);
  await eventually(() => next.stamped()?.length === 1, "what nobody wants to leave the rule");
});

test("policies: the required proxy waits for the CRD that it takes as parameter", async () => {
  const api = testCluster();
  publish(api, "api/v1", [configMaps]);
  await using manager = policies(api);
  await eventually(() => manager.clock.nextDueInMs === 3000, "the first round");
  const required = () => api.peek("validatingadmissionpolicies", "ctrlmesh-require-proxy");
  assert.equal(required(), undefined);
  assert.notEqual(api.peek("validatingadmissionpolicies", "ctrlmesh-protect-labels"), undefined);
  manager.world.served = [configMaps, shardingConfigs];
  manager.world.tell();
  await eventually(() => required() !== undefined, "the policy");
});

test("policies: a server without MutatingAdmissionPolicy gets none, and is told apart", async () => {
  const api = testCluster();
  await using _manager = policies(api, { validatingadmissionpolicies: "ValidatingAdmissionPolicy" });
  await eventually(
    () => api.peek("validatingadmissionpolicies", "ctrlmesh-protect-labels") !== undefined,
    "the other policy",
  );
  assert.equal(await supportsMutatingPolicies(api, { signal }), false);
  assert.equal(
    api.calls.some((call) => call.includes("patch mutatingadmissionpolicies")),
    false,
  );
  api.documents.delete("/apis/admissionregistration.k8s.io/v1");
  assert.equal(await supportsMutatingPolicies(api, { signal }), false);
});

test("stamp policy: it names kinds and their status, no wildcard, and leaves exempt namespaces out", () => {
  const manifest = stampPolicy(
    [configMaps, { ...things, hasStatus: true }, { ...things, version: "v2" }],
    settings,
  );
  const text = JSON.stringify(manifest?.policy);
  assert.match(text, /"resources":\["things","things\/status"\]/);
  assert.match(text, /"apiVersions":\["v1","v2"\]/);
  assert.equal(text.includes('"*"'), false);
  assert.match(text, /"failurePolicy":"Ignore","reinvocationPolicy":"IfNeeded"/);
  assert.match(
    text,
    /"operator":"NotIn","values":\["kube-system","kube-public","kube-node-lease","default"\]/,
  );
  assert.equal(stampPolicy([], settings), undefined);
});

test("policies: the same kinds in another order give the same bytes, so that nothing is written again", () => {
  const one = stampPolicy([configMaps, things], settings);
  assert.deepEqual(stampPolicy([things, configMaps], settings), one);
});

test("policies: a user name with quotes stays a text of the expression", () => {
  const { policy } = protectLabelsPolicy('o"; true; "', settings);
  assert.match(JSON.stringify(policy.spec), /username != \\"o\\\\\\"; true; \\\\\\"\\"/);
});

test("opt-in policies: they carry the names that uninstall looks for", () => {
  assert.equal(optInPolicy().policy.metadata?.name, "ctrlmesh-opt-in");
  const required = requireProxyPolicy();
  assert.equal(required.policy.metadata?.name, "ctrlmesh-require-proxy");
  assert.deepEqual(
    required.bindings.map(({ metadata }) => metadata?.name),
    ["ctrlmesh-require-proxy-namespaces", "ctrlmesh-require-proxy-pods"],
  );
});

/** Moves time in the steps of the reconciler, letting each round finish. */
async function roundsFor(clock: FakeClock, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 1000) {
    await clock.advance(1000);
    await eventually(() => clock.nextDueInMs !== undefined, "the next round to be planned");
  }
}
