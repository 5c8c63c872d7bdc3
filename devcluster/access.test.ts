import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import { after, before, test } from "node:test";
import { parse } from "yaml";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { arrayOf, at, type JsonObject, objectOf, stringOf, stringsOf } from "./json.ts";
import { TestSession } from "./test-session.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start();
  const account = "/api/v1/namespaces/default/serviceaccounts/default";
  await session.until("the default service account", account, ({ status }) => status === 200);
});
after(() => session[Symbol.asyncDispose]());

const pods = "/api/v1/namespaces/default/pods";
const rbac = "/apis/rbac.authorization.k8s.io/v1";

async function makePod(name: string): Promise<string> {
  const { body } = await session.post(pods, {
    metadata: { name },
    spec: { nodeName: "n", containers: [{ name: "c", image: "i" }] },
  });
  return stringOf(at(body, "metadata", "uid"));
}

async function requestToken(spec: JsonObject): Promise<string> {
  const { body } = await session.post("/api/v1/namespaces/default/serviceaccounts/default/token", { spec });
  return stringOf(at(body, "status", "token"));
}

async function review(token: string, audiences: readonly string[]): Promise<JsonObject> {
  const { body } = await session.post("/apis/authentication.k8s.io/v1/tokenreviews", {
    spec: { token, audiences },
  });
  return objectOf(body.status);
}

test("TokenReview: a token bound to a pod names the account, the pod and the credential", async () => {
  const uid = await makePod("bound");
  const token = await requestToken({
    audiences: ["ctrlmesh"],
    expirationSeconds: 3600,
    boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "bound", uid },
  });
  const status = await review(token, ["ctrlmesh"]);
  assert.equal(status.authenticated, true);
  assert.deepEqual(status.audiences, ["ctrlmesh"]);
  assert.equal(at(status, "user", "username"), "system:serviceaccount:default:default");
  const extra = objectOf(at(status, "user", "extra"));
  assert.deepEqual(extra["authentication.kubernetes.io/pod-name"], ["bound"]);
  assert.deepEqual(extra["authentication.kubernetes.io/pod-uid"], [uid]);
  assert.match(
    stringsOf(extra["authentication.kubernetes.io/credential-id"])[0] ?? "",
    /^JTI=[0-9a-f-]{36}$/,
  );
});

test("TokenReview: another audience, a forged, an unsigned and an expired token are not authenticated", async () => {
  const token = await requestToken({ audiences: ["ctrlmesh"] });
  assert.equal((await review(token, ["other"])).authenticated, undefined);
  assert.equal((await review(token, [])).authenticated, undefined);
  const [head, payload = "", signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
  const changed = Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 1000 })).toString("base64url");
  assert.equal((await review(`${head}.${changed}.${signature}`, ["ctrlmesh"])).authenticated, undefined);
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  assert.equal((await review(`${none}.${payload}.`, ["ctrlmesh"])).authenticated, undefined);
  assert.equal((await review("nonsense", ["ctrlmesh"])).authenticated, undefined);
});

test("TokenReview: the token dies with its pod, also when another pod takes the name", async () => {
  const uid = await makePod("mortal");
  const token = await requestToken({
    audiences: ["ctrlmesh"],
    boundObjectRef: { kind: "Pod", name: "mortal", uid },
  });
  assert.equal((await review(token, ["ctrlmesh"])).authenticated, true);
  await session.call("DELETE", `${pods}/mortal?gracePeriodSeconds=0`);
  assert.equal((await review(token, ["ctrlmesh"])).authenticated, undefined);
  await makePod("mortal");
  assert.equal((await review(token, ["ctrlmesh"])).authenticated, undefined);
});

test("TokenRequest: for a pod with another UID, and for too short a time, is refused", async () => {
  await makePod("strict");
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const other = await session.post(path, {
    spec: { boundObjectRef: { kind: "Pod", name: "strict", uid: "x" } },
  });
  assert.equal(other.status, 409);
  assert.equal((await session.post(path, { spec: { expirationSeconds: 60 } })).status, 422);
  assert.equal(
    (await session.post("/api/v1/namespaces/default/serviceaccounts/none/token", { spec: {} })).status,
    404,
  );
});

test("tokens: the key set verifies their signature", async () => {
  const { body } = await session.get("/openid/v1/jwks");
  const [key] = arrayOf(body.keys);
  const token = await requestToken({});
  const head = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());
  assert.deepEqual([head.alg, head.kid], ["ES256", at(key, "kid")]);
});

test("authentication: a bad token is 401, none is anonymous and 403 for what is not public", async () => {
  assert.equal((await session.call("GET", pods, { token: "wrong" })).status, 401);
  const anonymous = await session.call("GET", pods, { token: "" });
  assert.deepEqual([anonymous.status, anonymous.body.reason], [403, "Forbidden"]);
  assert.equal((await session.call("GET", "/version", { token: "" })).status, 200);
});

test("authentication: the administrator's client certificate is system:masters, a stranger's is nobody", async () => {
  const kubeconfig: unknown = parse(session.server.adminKubeconfig());
  const user = at(arrayOf(at(kubeconfig, "users"))[0], "user");
  const pem = (field: string): string => Buffer.from(stringOf(at(user, field)), "base64").toString();
  const [cert, key] = [pem("client-certificate-data"), pem("client-key-data")];
  assert.match(new X509Certificate(cert).subject, /O=system:masters/);
  assert.equal(await statusWith(cert, key), 200);
  const authority = await createAuthority({ commonName: "devcluster-ca", days: 1 });
  const names = { commonName: "admin", organization: "system:masters", dnsNames: [], ipAddresses: [] };
  const stranger = await issueCertificate(authority, { ...names, days: 1, usage: "client" });
  assert.equal(await statusWith(stranger.certificatePem, stranger.privateKeyPem ?? ""), 403);
});

function statusWith(cert: string, key: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { cert, key, ca: session.server.caPem, agent: false };
    const call = request(`${session.server.url}${pods}`, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on("error", reject);
    call.end();
  });
}

test("RBAC: a service account may do what its bindings say, by verb, resource, name and namespace", async () => {
  const token = await requestToken({});
  assert.equal((await session.call("GET", pods, { token })).status, 403);
  await session.post(`${rbac}/namespaces/default/roles`, {
    metadata: { name: "reader" },
    rules: [
      { verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] },
      { verbs: ["get"], apiGroups: [""], resources: ["configmaps"], resourceNames: ["kube-root-ca.crt"] },
    ],
  });
  await session.post(`${rbac}/namespaces/default/rolebindings`, {
    metadata: { name: "reader" },
    roleRef: { kind: "Role", name: "reader" },
    subjects: [{ kind: "ServiceAccount", name: "default", namespace: "default" }],
  });
  const statusOf = async (method: string, path: string): Promise<number> =>
    (await session.call(method, path, { token })).status;
  assert.equal(await statusOf("GET", pods), 200);
  assert.equal(await statusOf("DELETE", `${pods}/x`), 403);
  assert.equal(await statusOf("GET", `${pods}/x/log`), 403);
  assert.equal(await statusOf("GET", "/api/v1/pods"), 403);
  assert.equal(await statusOf("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"), 200);
  assert.equal(await statusOf("GET", "/api/v1/namespaces/default/configmaps/other"), 403);
  assert.equal(await statusOf("GET", "/api/v1/namespaces/default/configmaps"), 403);
});

test("RBAC: an aggregated role holds the rules of the roles that it selects", async () => {
  await session.post(`${rbac}/clusterroles`, {
    metadata: { name: "sum" },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { sum: "true" } }] },
  });
  await session.post(`${rbac}/clusterroles`, {
    metadata: { name: "part", labels: { sum: "true" } },
    rules: [{ verbs: ["list"], apiGroups: [""], resources: ["nodes"] }],
  });
  await session.post(`${rbac}/clusterrolebindings`, {
    metadata: { name: "sum" },
    roleRef: { kind: "ClusterRole", name: "sum" },
    subjects: [{ kind: "User", name: "joe" }],
  });
  const ask = async (verb: string): Promise<unknown> => {
    const spec = { user: "joe", resourceAttributes: { verb, resource: "nodes" } };
    const { body } = await session.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", { spec });
    return at(body, "status", "allowed");
  };
  assert.deepEqual([await ask("list"), await ask("delete")], [true, false]);
});

test("access reviews: the answers are those that requests get", async () => {
  const token = await requestToken({});
  const { body } = await session.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    token,
    body: { spec: { nonResourceAttributes: { verb: "get", path: "/metrics" } } },
  });
  assert.equal(at(body, "status", "allowed"), false);
  assert.equal((await session.call("GET", "/metrics", { token })).status, 403);
});

test("requests: each is told with verb, resource, selector, user and status", async () => {
  const seen: string[] = [];
  using _listening = session.server.onRequest((record) => {
    seen.push(`${record.verb} ${record.resource} ${record.labelSelector} ${record.user} ${record.status}`);
  });
  await session.get(`${pods}?labelSelector=a%3Db`);
  await session.call("DELETE", `${pods}?labelSelector=a%3Db`);
  await session.get(`${pods}/none`);
  assert.deepEqual(seen, [
    "list pods a=b admin 200",
    "deletecollection pods a=b admin 200",
    "get pods  admin 404",
  ]);
});

test("faults: chosen requests get 429 with Retry-After until the fault is taken back", async () => {
  {
    using _fault = session.server.faults.tooManyRequests(7, ({ verb }) => verb === "list");
    const refused = await session.get(pods);
    assert.deepEqual([refused.status, refused.headers["retry-after"]], [429, "7"]);
    assert.equal((await session.get(`${pods}/none`)).status, 404);
  }
  assert.equal((await session.get(pods)).status, 200);
});

test("impersonation: the administrator is taken for whom it names, others may not", async () => {
  const headers = { "impersonate-user": "somebody", "impersonate-group": "team" };
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const { body } = await session.call("POST", path, { body: {}, headers });
  assert.deepEqual(at(body, "status", "userInfo"), {
    username: "somebody",
    groups: ["team", "system:authenticated"],
  });
  assert.equal((await session.call("GET", pods, { headers })).status, 403);
  const token = await requestToken({});
  assert.equal((await session.call("POST", path, { body: {}, headers, token })).status, 403);
  assert.equal((await session.call("GET", pods, { headers: { "impersonate-group": "team" } })).status, 400);
});
