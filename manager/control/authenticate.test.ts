import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { authenticate, bearerToken } from "./authenticate.ts";
import { acceptedReview, ScriptedIdentities } from "./scripted-identities.ts";

const { signal } = new AbortController();

function clusterWith(name: string): ScriptedIdentities {
  const cluster = new ScriptedIdentities();
  cluster.admit(name);
  return cluster;
}

async function refused(
  cluster: ScriptedIdentities,
  token: string | undefined,
  code: ErrorCode,
  text: RegExp,
) {
  await assert.rejects(authenticate(token, cluster, signal), (error) => {
    assert.ok(error instanceof CtrlmeshError);
    assert.equal(error.code, code);
    assert.match(error.message, text);
    if (token !== undefined && token !== "") assert.ok(!error.message.includes(token), "the token is told");
    return true;
  });
}

test("authenticate: the token of a running, injected pod names that pod", async () => {
  const cluster = clusterWith("op-0");
  assert.deepEqual(await authenticate("token-op-0", cluster, signal), {
    namespace: "ops",
    name: "op-0",
    uid: "uid-op-0",
    podIp: "10.0.0.7",
    shard: "a",
  });
  assert.deepEqual(cluster.reviewed, [
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: "token-op-0", audiences: ["ctrlmesh"] },
    },
  ]);
});

test("authenticate: a terminating pod is let in, for its operator still runs", async () => {
  const cluster = clusterWith("op-0");
  cluster.putPod("op-0", { metadata: { deletionTimestamp: "2030-01-01T00:00:00Z" } });
  assert.equal((await authenticate("token-op-0", cluster, signal)).uid, "uid-op-0");
});

test("authenticate: a pod that has no address yet is let in", async () => {
  const cluster = clusterWith("op-0");
  cluster.putPod("op-0", { status: { phase: "Pending" } });
  assert.equal((await authenticate("token-op-0", cluster, signal)).podIp, "");
});

test("D1: without a token nobody is anybody, and the API server is not asked", async () => {
  const cluster = clusterWith("op-0");
  await refused(cluster, undefined, "UNAUTHENTICATED", /no bearer token/);
  await refused(cluster, "", "UNAUTHENTICATED", /no bearer token/);
  assert.deepEqual(cluster.reviewed, []);
});

test("D1: a token that the API server does not know, or no longer, is refused with its reason", async () => {
  const cluster = clusterWith("op-0");
  await refused(cluster, "secret-2", "UNAUTHENTICATED", /token lookup failed/);
  cluster.reviews.set("secret-3", { authenticated: false, error: "service account token has expired" });
  await refused(cluster, "secret-3", "UNAUTHENTICATED", /has expired/);
});

const unchecked: readonly (readonly [string, unknown])[] = [
  ["no audience", { ...acceptedReview("op-0", {}), audiences: undefined }],
  ["another audience", { ...acceptedReview("op-0", {}), audiences: ["https://kubernetes.default.svc"] }],
  ["a text in place of audiences", { ...acceptedReview("op-0", {}), audiences: "ctrlmesh" }],
  ["no yes", { ...acceptedReview("op-0", {}), authenticated: "true" }],
  ["no user", { ...acceptedReview("op-0", {}), user: undefined }],
  ["no status", undefined],
];

for (const [what, status] of unchecked) {
  test(`D1: a review that answers with ${what} lets nobody in`, async () => {
    const cluster = clusterWith("op-0");
    cluster.reviews.set("secret-1", status);
    await refused(cluster, "secret-1", "UNAUTHENTICATED", /does not accept the token/);
  });
}

const unbound: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ["of a Secret, bound to no pod", { extra: {} }],
  ["without extras", { extra: undefined }],
  ["bound to a name without UID", { extra: { "authentication.kubernetes.io/pod-name": ["op-0"] } }],
  [
    "bound to two pods",
    {
      extra: {
        "authentication.kubernetes.io/pod-name": ["op-0", "op-1"],
        "authentication.kubernetes.io/pod-uid": ["uid-op-0"],
      },
    },
  ],
  [
    "bound to a pod without name and UID",
    {
      extra: {
        "authentication.kubernetes.io/pod-name": [""],
        "authentication.kubernetes.io/pod-uid": [""],
      },
    },
  ],
  ["of a person", { username: "jane" }],
  ["of a node", { username: "system:node:worker" }],
  ["of an account without namespace", { username: "system:serviceaccount::operator" }],
  ["of an account without name", { username: "system:serviceaccount:ops" }],
  ["of an account with one part too many", { username: "system:serviceaccount:ops:operator:x" }],
];

for (const [what, user] of unbound) {
  test(`D1: a good token ${what} speaks for no pod`, async () => {
    const cluster = clusterWith("op-0");
    cluster.reviews.set("secret-1", acceptedReview("op-0", user));
    await refused(cluster, "secret-1", "POD_NOT_BOUND", /not bound to a pod/);
  });
}

test("D1: a pod can't speak for another one of its account", async () => {
  const cluster = clusterWith("op-0");
  cluster.putPod("op-1", {});
  const extra = {
    "authentication.kubernetes.io/pod-name": ["op-1"],
    "authentication.kubernetes.io/pod-uid": ["uid-op-0"],
  };
  cluster.reviews.set("secret-1", acceptedReview("op-0", { extra }));
  await refused(cluster, "secret-1", "POD_NOT_FOUND", /uid-op-0 is gone, another has its name/);
});

test("authenticate: the token of a pod outlives neither the pod nor its replacement under the same name", async () => {
  const cluster = clusterWith("op-0");
  cluster.deletePod("op-0");
  await refused(cluster, "token-op-0", "POD_NOT_FOUND", /ops\/op-0: the pod is gone/);
  cluster.putPod("op-0", { metadata: { uid: "uid-next" } });
  await refused(cluster, "token-op-0", "POD_NOT_FOUND", /another has its name/);
});

for (const phase of ["Succeeded", "Failed"]) {
  test(`authenticate: a pod that has ended (${phase}) is refused`, async () => {
    const cluster = clusterWith("op-0");
    cluster.putPod("op-0", { status: { phase } });
    await refused(cluster, "token-op-0", "POD_NOT_FOUND", /has ended/);
  });
}

test("authenticate: a pod that was not injected is refused with what to do", async () => {
  const cluster = clusterWith("op-0");
  for (const labels of [{}, { "ctrlmesh.kusionstack.io/sharding-config-injected": "" }]) {
    cluster.putPod("op-0", { metadata: { labels } });
    await refused(cluster, "token-op-0", "POD_NOT_INJECTED", /opt its namespace in/);
  }
});

for (const call of ["review", "pod"] as const) {
  test(`authenticate: when the API server fails at the ${call}, nobody is let in and the failure is told`, async () => {
    const cluster = clusterWith("op-0");
    cluster.before = (now) => {
      if (now === call) throw new CtrlmeshError("API_UNREACHABLE", { what: "no answer" });
    };
    await refused(cluster, "token-op-0", "API_UNREACHABLE", /no answer/);
  });
}

test("bearerToken: the one token of an authorization header, and nothing of any other", () => {
  assert.equal(bearerToken("Bearer abc.def-g_h"), "abc.def-g_h");
  assert.equal(bearerToken("bearer abc"), "abc");
  for (const header of [
    null,
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Basic abc",
    "Bearer a b",
    "Bearer a, Bearer b",
  ]) {
    assert.equal(bearerToken(header), undefined, String(header));
  }
});
