import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isAnswer, metadataOf, namesOf, rows } from "../case.ts";
import type { Answer, Api, CallOptions, Json } from "../client.ts";

const secrets = "/api/v1/namespaces/default/secrets";
const reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
const issuer = "https://kubernetes.default.svc.cluster.local";

interface PodToken {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly accountUid: string;
  readonly token: string;
}

/** A pod of a service account of its own, and a token bound to it. */
async function podToken(api: Api, audiences: readonly string[] = []): Promise<PodToken> {
  const namespace = await api.namespace();
  const core = `/api/v1/namespaces/${namespace}`;
  const account = await api.made(`${core}/serviceaccounts`, { metadata: { name: "sa" } });
  const pod = await api.made(`${core}/pods`, {
    metadata: { name: "p" },
    spec: {
      serviceAccountName: "sa",
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "c", image: "i" }],
    },
  });
  const podUid = String(metadataOf(pod).uid);
  const made = await requestToken(api, namespace, {
    audiences,
    boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p", uid: podUid },
  });
  assert.equal(made.status, 201, made.text);
  const { token } = made.body.status as { token: string };
  return { namespace, pod: "p", podUid, accountUid: String(metadataOf(account).uid), token };
}

function requestToken(api: Api, namespace: string, spec: Json): Promise<Answer> {
  return api.post(`/api/v1/namespaces/${namespace}/serviceaccounts/sa/token`, { spec });
}

async function review(api: Api, token: string, audiences?: readonly string[]): Promise<Json> {
  const { status, body } = await api.post(reviews, {
    spec: { token, ...(audiences === undefined ? {} : { audiences }) },
  });
  assert.equal(status, 201);
  return body.status as Json;
}

const isUnknown = (status: Json): void => assert.notEqual(status.authenticated, true, JSON.stringify(status));

/** A token of a service account that a Role lets list secrets in its namespace, and nothing else. */
async function reader(api: Api): Promise<{ namespace: string; options: CallOptions }> {
  const { namespace, token } = await podToken(api);
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await api.made(`${rbac}/roles`, {
    metadata: { name: "r" },
    rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["list"] }],
  });
  await api.made(`${rbac}/rolebindings`, {
    metadata: { name: "r" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "r" },
    subjects: [{ kind: "ServiceAccount", name: "sa", namespace }],
  });
  const options = { token };
  for (let tries = 0; tries < 200; tries++) {
    if ((await api.get(`/api/v1/namespaces/${namespace}/secrets`, options)).status === 200)
      return { namespace, options };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the role has no effect");
}

export const accessCases: readonly ConformanceCase[] = [
  ...rows([
    {
      id: "401-bad-token",
      ask: ["GET", secrets],
      options: { token: "nonsense" },
      status: 401,
      reason: "Unauthorized",
      message: "Unauthorized",
    },
    {
      id: "403-anonymous-list",
      ask: ["GET", secrets],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message:
        'secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" in the namespace "default"',
      body: { details: { kind: "secrets" } },
    },
    {
      id: "403-anonymous-get",
      ask: ["GET", `${secrets}/x`],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message:
        'secrets "x" is forbidden: User "system:anonymous" cannot get resource "secrets" in API group "" in the namespace "default"',
      body: { details: { kind: "secrets", name: "x" } },
    },
    {
      id: "403-anonymous-watch",
      ask: ["GET", `${secrets}?watch=1`],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message: /cannot watch resource "secrets"/,
    },
    {
      id: "403-anonymous-in-a-group",
      ask: ["GET", "/apis/apps/v1/statefulsets"],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message:
        'statefulsets.apps is forbidden: User "system:anonymous" cannot list resource "statefulsets" in API group "apps" at the cluster scope',
      body: { details: { group: "apps", kind: "statefulsets" } },
    },
    {
      id: "403-anonymous-path",
      ask: ["GET", "/nope"],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message: 'forbidden: User "system:anonymous" cannot get path "/nope"',
    },
    {
      id: "403-subresource",
      ask: ["GET", "/api/v1/namespaces/default/pods/p/log"],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
      message:
        /^pods "p" is forbidden: User "system:anonymous" cannot get resource "pods\/log" in API group ""/,
    },
    {
      id: "403-before-404",
      ask: ["GET", "/api/v1/things"],
      options: { token: "" },
      status: 403,
      reason: "Forbidden",
    },
  ]),
  conforms("token-review-of-a-bound-token", async (api) => {
    const { namespace, podUid, accountUid, token } = await podToken(api);
    const status = await review(api, token);
    assert.equal(status.authenticated, true, JSON.stringify(status));
    assert.deepEqual(status.audiences, [issuer]);
    const { username, uid, groups, extra } = status.user as Json;
    assert.deepEqual([username, uid], [`system:serviceaccount:${namespace}:sa`, accountUid]);
    assert.deepEqual(groups, [
      "system:serviceaccounts",
      `system:serviceaccounts:${namespace}`,
      "system:authenticated",
    ]);
    assert.partialDeepStrictEqual(extra, {
      "authentication.kubernetes.io/pod-name": ["p"],
      "authentication.kubernetes.io/pod-uid": [podUid],
    });
  }),
  conforms("token-review-by-audience", async (api) => {
    const { token } = await podToken(api, ["mesh", "other"]);
    assert.deepEqual((await review(api, token, ["mesh", "nobody"])).audiences, ["mesh"]);
    isUnknown(await review(api, token, ["nobody"]));
    isUnknown(await review(api, token));
  }),
  conforms("token-of-another-audience-is-no-credential", async (api) => {
    const { namespace, token } = await podToken(api, ["mesh"]);
    assert.equal((await api.get(`/api/v1/namespaces/${namespace}/secrets`, { token })).status, 401);
  }),
  conforms("token-review-of-nonsense", async (api) => isUnknown(await review(api, "nonsense"))),
  conforms("token-review-of-a-forged-token", async (api) => {
    const { token } = await podToken(api);
    const [head, payload = "", signature] = token.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Json;
    const forged = Buffer.from(
      JSON.stringify({ ...claims, sub: "system:serviceaccount:kube-system:admin" }),
    ).toString("base64url");
    isUnknown(await review(api, `${head}.${forged}.${signature}`));
  }),
  conforms("token-dies-with-its-pod", async (api) => {
    const { namespace, token } = await podToken(api);
    await api.call("DELETE", `/api/v1/namespaces/${namespace}/pods/p?gracePeriodSeconds=0`);
    assert.equal((await api.get(`/api/v1/namespaces/${namespace}/pods/p`)).status, 404);
    await gone(api, token);
  }),
  conforms("token-dies-with-its-account", async (api) => {
    const { namespace, token } = await podToken(api);
    await api.delete(`/api/v1/namespaces/${namespace}/serviceaccounts/sa`);
    await gone(api, token);
  }),
  conforms("token-does-not-live-on-in-a-namesake", async (api) => {
    const { namespace, token } = await podToken(api);
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    await api.call("DELETE", `${pods}/p?gracePeriodSeconds=0`);
    await api.made(pods, {
      metadata: { name: "p" },
      spec: { serviceAccountName: "sa", containers: [{ name: "c", image: "i" }] },
    });
    await gone(api, token);
  }),
  conforms("token-claims", async (api) => {
    const { namespace, podUid, accountUid, token } = await podToken(api, ["mesh"]);
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Json;
    assert.partialDeepStrictEqual(claims, {
      aud: ["mesh"],
      iss: issuer,
      sub: `system:serviceaccount:${namespace}:sa`,
      "kubernetes.io": {
        namespace,
        pod: { name: "p", uid: podUid },
        serviceaccount: { name: "sa", uid: accountUid },
      },
    });
  }),
  conforms("token-request-says-when-it-ends", async (api) => {
    const { namespace } = await podToken(api);
    const { body } = await requestToken(api, namespace, { expirationSeconds: 600 });
    const { expirationTimestamp } = body.status as { expirationTimestamp: string };
    const left = (Date.parse(expirationTimestamp) - Date.now()) / 1000;
    assert.ok(left > 590 && left <= 601, expirationTimestamp);
    assert.equal((body.spec as Json).expirationSeconds, 600);
  }),
  conforms("token-request-too-short", async (api) => {
    const { namespace } = await podToken(api);
    isAnswer(await requestToken(api, namespace, { expirationSeconds: 5 }), {
      status: 422,
      reason: "Invalid",
      message: /spec\.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes$/,
      fields: ["spec.expirationSeconds"],
    });
  }),
  conforms("token-request-of-another-uid", async (api) => {
    const { namespace } = await podToken(api);
    const answer = await requestToken(api, namespace, {
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p", uid: "other" },
    });
    isAnswer(answer, {
      status: 409,
      reason: "Conflict",
      message: /the UID in the bound object reference \(other\) does not match the UID in record/,
    });
  }),
  conforms("token-request-for-an-absent-pod", async (api) => {
    const { namespace } = await podToken(api);
    isAnswer(
      await requestToken(api, namespace, { boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "nope" } }),
      { status: 404, reason: "NotFound", message: 'pods "nope" not found' },
    );
  }),
  conforms("token-request-for-an-absent-account", async (api) => {
    isAnswer(await api.post("/api/v1/namespaces/default/serviceaccounts/nope/token", { spec: {} }), {
      status: 404,
      reason: "NotFound",
      message: 'serviceaccounts "nope" not found',
    });
  }),
  conforms("rbac-what-a-role-grants-and-nothing-else", async (api) => {
    const { namespace, options } = await reader(api);
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    assert.ok(Array.isArray(namesOf(await api.get(path, options))));
    const user = `User "system:serviceaccount:${namespace}:sa"`;
    isAnswer(await api.get(`${path}?watch=1`, options), {
      status: 403,
      reason: "Forbidden",
      message: `secrets is forbidden: ${user} cannot watch resource "secrets" in API group "" in the namespace "${namespace}"`,
    });
    isAnswer(await api.get("/api/v1/secrets", options), {
      status: 403,
      reason: "Forbidden",
      message: `secrets is forbidden: ${user} cannot list resource "secrets" in API group "" at the cluster scope`,
    });
    isAnswer(await api.post(path, { metadata: { name: "x" } }, options), {
      status: 403,
      reason: "Forbidden",
      message: `secrets is forbidden: ${user} cannot create resource "secrets" in API group "" in the namespace "${namespace}"`,
    });
    isAnswer(await api.call("DELETE", path, options), {
      status: 403,
      reason: "Forbidden",
      message: `secrets is forbidden: ${user} cannot deletecollection resource "secrets" in API group "" in the namespace "${namespace}"`,
    });
  }),
  conforms("self-subject-access-review", async (api) => {
    const { namespace, options } = await reader(api);
    const ask = async (verb: string): Promise<unknown> => {
      const { body } = await api.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        { spec: { resourceAttributes: { verb, resource: "secrets", namespace } } },
        options,
      );
      return (body.status as Json).allowed;
    };
    assert.deepEqual([await ask("list"), await ask("watch")], [true, false]);
  }),
  conforms("subject-access-review-of-another", async (api) => {
    const { namespace } = await reader(api);
    const { status, body } = await api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      spec: {
        user: `system:serviceaccount:${namespace}:sa`,
        groups: [],
        resourceAttributes: { verb: "list", resource: "secrets", namespace },
      },
    });
    assert.deepEqual([status, (body.status as Json).allowed], [201, true]);
  }),
  conforms("self-subject-review", async (api) => {
    const { namespace, options } = await reader(api);
    const { body } = await api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, options);
    assert.partialDeepStrictEqual(body, {
      status: { userInfo: { username: `system:serviceaccount:${namespace}:sa` } },
    });
  }),
  conforms("impersonation", async (api) => {
    const headers = { "impersonate-user": "somebody", "impersonate-group": "nobodies" };
    isAnswer(await api.get(secrets, { headers }), {
      status: 403,
      reason: "Forbidden",
      message: /User "somebody" cannot list resource "secrets"/,
    });
    const { options } = await reader(api);
    isAnswer(await api.get(secrets, { ...options, headers }), {
      status: 403,
      reason: "Forbidden",
      message: /^(users "somebody"|secrets) is forbidden: User .* cannot impersonate/,
    });
  }),
];

/** Service account tokens are checked against caches, so the end may be seen a moment late. */
async function gone(api: Api, token: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if ((await review(api, token)).authenticated !== true) {
      assert.equal((await api.get("/api", { token })).status, 401);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the token is still good");
}
