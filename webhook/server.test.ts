import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { CtrlmeshError } from "#api/errors";
import { annotations, defaultExemptNamespaces, defaultShardLabels, labels } from "#api/names";
import { parseShardingConfig } from "#api/sharding-config";
import { silentLog } from "#runtime/log";
import { createAuthority, issueCertificate, readCertificate } from "#runtime/x509";
import { defaultProxyResources } from "./injection-request.ts";
import { createWebhookServer, type WebhookDeps } from "./server.ts";

const shard = (name: string, pod: string, namespaces: readonly string[], more: object = {}) => ({
  apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
  kind: "ShardingConfig",
  metadata: { name, namespace: "team" },
  spec: {
    selector: { matchExpressions: [{ key: labels.podName, operator: "In", values: [pod] }] },
    limits: [
      {
        relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
        selector: {
          matchExpressions: [{ key: defaultShardLabels.namespace, operator: "In", values: namespaces }],
        },
      },
    ],
    ...more,
  },
});
const pod = (name: string, spec: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "team", labels: { [labels.podName]: name } },
  spec: { containers: [{ name: "manager", image: "op" }], ...spec },
});

async function bench(change: Partial<WebhookDeps> = {}) {
  const authority = await createAuthority({ commonName: "mesh", days: 1 });
  const issue = async () => {
    const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
      commonName: "webhook",
      dnsNames: ["localhost"],
      ipAddresses: ["127.0.0.1"],
      days: 1,
      usage: "server",
    });
    return { certificatePem, privateKeyPem };
  };
  const state = { certificate: await issue(), ensured: [] as string[], stored: [shard("a", "op-0", ["x"])] };
  const namespace = { name: "team", labels: {}, annotations: { [annotations.enableProxy]: "true" } };
  const server = createWebhookServer({
    namespaces: { cached: () => namespace, read: async () => namespace },
    shardingConfigs: {
      read: async () => ({
        configs: state.stored.map((object) => parseShardingConfig(object)),
        unreadable: [],
      }),
    },
    namespaceObjects: { ensure: async (name) => void state.ensured.push(name) },
    apiServer: { read: async () => [{ host: "10.96.0.1", port: 443 }] },
    settings: {
      image: "ctrlmesh:1",
      imagePullPolicy: "IfNotPresent",
      resources: defaultProxyResources,
      managerAddress: "ctrlmesh-manager.ctrlmesh.svc:8071",
      managerNamespace: "ctrlmesh",
      extraEnv: {},
      iptablesBackend: "nft",
    },
    nativeSidecars: true,
    stamp: { shardLabels: defaultShardLabels, hash: "murmur3", exemptNamespaces: defaultExemptNamespaces },
    groupConfigs: (configs) => [{ configs }],
    certificate: () => state.certificate,
    log: silentLog,
    ...change,
  });
  const address = await server.listen("127.0.0.1", 0);
  return { server, state, issue, address, ca: authority.certificatePem };
}
type Bench = Awaited<ReturnType<typeof bench>>;

interface Answer {
  readonly status: number;
  readonly body: Record<string, never> & {
    readonly apiVersion?: string;
    readonly message?: string;
    readonly response: {
      readonly uid: string;
      readonly allowed: boolean;
      readonly patch?: string;
      readonly warnings?: readonly string[];
      readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
    };
  };
}

function post(
  { address, ca }: Bench,
  path: string,
  body: string,
  type = "application/json",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        host: "127.0.0.1",
        port: address.port,
        path,
        method: "POST",
        ca,
        agent: false,
        headers: { "content-type": type },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

function review(object: unknown, more: object = {}, apiVersion = "admission.k8s.io/v1"): string {
  return JSON.stringify({
    apiVersion,
    kind: "AdmissionReview",
    request: {
      uid: "u-1",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      namespace: "team",
      operation: "CREATE",
      object,
      ...more,
    },
  });
}
const patchOf = ({ body }: Answer): { op: string; path: string; value: unknown }[] =>
  JSON.parse(Buffer.from(body.response.patch ?? "W10=", "base64").toString());

for (const version of ["v1", "v1beta1"]) {
  test(`webhook server: a pod is injected over TLS and the answer has the version ${version} of the question`, async () => {
    const it = await bench();
    await using _server = it.server;
    const answer = await post(it, "/mutate-pod", review(pod("op-0"), {}, `admission.k8s.io/${version}`));
    assert.equal(answer.status, 200);
    assert.equal(answer.body.apiVersion, `admission.k8s.io/${version}`);
    assert.equal(answer.body.response.uid, "u-1");
    assert.equal(answer.body.response.allowed, true);
    assert.ok(patchOf(answer).some(({ path }) => path === "/spec/initContainers"));
    assert.deepEqual(it.state.ensured, ["team"], "the CA bundle is there before the pod");
  });
}

test("webhook server: a dry run writes nothing", async () => {
  const it = await bench();
  await using _server = it.server;
  const answer = await post(it, "/mutate-pod", review(pod("op-0"), { dryRun: true }));
  assert.ok(patchOf(answer).length > 0);
  assert.deepEqual(it.state.ensured, []);
});

test("webhook server: a pod that no shard selects is left alone", async () => {
  const it = await bench();
  await using _server = it.server;
  const answer = await post(it, "/mutate-pod", review(pod("other-0")));
  assert.deepEqual(answer.body.response, { uid: "u-1", allowed: true });
});

test("webhook server: a pod that can't be injected is refused with field, reason and hint", async () => {
  const it = await bench();
  await using _server = it.server;
  const { body } = await post(it, "/mutate-pod", review(pod("op-0", { hostNetwork: true })));
  assert.equal(body.response.allowed, false);
  assert.equal(body.response.status?.code, 403);
  assert.match(body.response.status?.message ?? "", /^spec\.hostNetwork: .*; take hostNetwork away, or /);
});

const redirectedPod = () => {
  const redirected = pod("op-0");
  Object.assign(redirected.metadata.labels, { [labels.enableIptables]: "true" });
  return redirected;
};

test("webhook server: mode iptables takes the API server's addresses from its Service, other modes do not ask", async () => {
  let reads = 0;
  const it = await bench({
    apiServer: {
      read: async () => {
        reads++;
        return [{ host: "10.96.0.7", port: 443 }];
      },
    },
  });
  await using _server = it.server;
  await post(it, "/mutate-pod", review(pod("op-0")));
  assert.equal(reads, 0);
  const { body } = await post(it, "/mutate-pod", review(redirectedPod()));
  const patch = Buffer.from(body.response.patch ?? "", "base64").toString();
  assert.match(patch, /"ctrlmesh-init".*--api-server=10\.96\.0\.7:443"/);
  assert.equal(reads, 1);
});

test("webhook server: mode iptables is refused where Pod Security would refuse it, with the way out", async () => {
  const namespace = {
    name: "team",
    labels: { "pod-security.kubernetes.io/enforce": "restricted" },
    annotations: { [annotations.enableProxy]: "true" },
  };
  const it = await bench({ namespaces: { cached: () => namespace, read: async () => namespace } });
  await using _server = it.server;
  const { body } = await post(it, "/mutate-pod", review(redirectedPod()));
  assert.equal(body.response.allowed, false);
  assert.match(body.response.status?.message ?? "", /"restricted" forbids .*; set the label to "privileged"/);
  assert.equal((await post(it, "/mutate-pod", review(pod("op-0")))).body.response.allowed, true);
});

test("webhook server: mode iptables is refused when the API server's Service can't be read", async () => {
  const it = await bench({ apiServer: { read: away } });
  await using _server = it.server;
  const { body } = await post(it, "/mutate-pod", review(redirectedPod()));
  assert.equal(body.response.allowed, false);
  assert.equal(body.response.status?.code, 503);
});

const away = () => Promise.reject(new CtrlmeshError("API_UNREACHABLE", { what: "connection refused" }));
const failures: readonly [string, Partial<WebhookDeps>][] = [
  ["the namespace can't be read", { namespaces: { cached: () => undefined, read: away } }],
  ["the ShardingConfigs can't be read", { shardingConfigs: { read: away } }],
  ["the CA bundle can't be written", { namespaceObjects: { ensure: away } }],
];
for (const [name, change] of failures) {
  test(`webhook server: when ${name} the pod is refused, not run unsharded`, async () => {
    const it = await bench(change);
    await using _server = it.server;
    const { body } = await post(it, "/mutate-pod", review(pod("op-0")));
    assert.equal(body.response.allowed, false);
    assert.equal(body.response.status?.code, 503);
  });
}

test("D47: the resource webhook never refuses, also when it can't read the object's namespace", async () => {
  const broken = () => {
    throw new Error("broken");
  };
  const it = await bench({ namespaces: { cached: broken, read: away } });
  await using _server = it.server;
  for (const object of [{ metadata: { name: "x" } }, { metadata: { labels: 7 } }, null]) {
    assert.equal((await post(it, "/mutate-resource", review(object))).body.response.allowed, true);
  }
});

const bad: readonly [string, string, string, RegExp][] = [
  ["no JSON", "{", "application/json", /request body: .*JSON/],
  ["nothing", "", "application/json", /request body: /],
  ["another media type", review(pod("op-0")), "text/plain", /request body: .*application\/json/],
  ["a list", "[]", "application/json", /AdmissionReview: must be object/],
  ["another kind", JSON.stringify({ apiVersion: "v1", kind: "Pod" }), "application/json", /AdmissionReview/],
  [
    "another version",
    review({}, {}, "admission.k8s.io/v2"),
    "application/json",
    /AdmissionReview\.apiVersion/,
  ],
  [
    "no request",
    JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" }),
    "application/json",
    /request/,
  ],
  [
    "an unknown operation",
    review({}, { operation: "PATCH" }),
    "application/json",
    /AdmissionReview\.request\.operation/,
  ],
];
for (const [name, body, type, message] of bad) {
  test(`webhook server: a body with ${name} gets 400 and says where`, async () => {
    const it = await bench();
    await using _server = it.server;
    const answer = await post(it, "/mutate-pod", body, type);
    assert.equal(answer.status, 400);
    assert.match(answer.body.message ?? "", message);
  });
}

test("webhook server: a pod of the wrong shape is refused with the path of the field", async () => {
  const it = await bench();
  await using _server = it.server;
  const { body } = await post(
    it,
    "/mutate-pod",
    review({ metadata: {}, spec: { containers: [{ name: 3 }] } }),
  );
  assert.match(
    body.response.status?.message ?? "",
    /^request\.object\.spec\.containers\[0\]\.name: must be string/,
  );
});

const configReview = (object: unknown, more: object = {}) =>
  review(object, { resource: { group: "g", version: "v1alpha1", resource: "shardingconfigs" }, ...more });
const limit = (resources: readonly string[], apiGroups: readonly string[] = [""]) => ({
  relateResources: [{ apiGroups, resources }],
});
const invalid: readonly [string, object, RegExp][] = [
  ["an empty selector", shard("b", "op-1", ["y"], { selector: {} }), /spec\.selector: .*choose pods/],
  ["D13: no limits", shard("b", "op-1", ["y"], { limits: [] }), /spec\.limits: /],
  [
    "an unknown operator",
    shard("b", "op-1", ["y"], {
      selector: { matchExpressions: [{ key: "a", operator: "Near", values: ["b"] }] },
    }),
    /operator/,
  ],
  [
    "a resource limited twice",
    shard("b", "op-1", ["y"], { limits: [limit(["pods"]), limit(["pods"])] }),
    /spec\.limits\[1\]\.relateResources\[0\]: "pods" .* is limited by spec\.limits\[0\]/,
  ],
  [
    "a resource after its wildcard",
    shard("b", "op-1", ["y"], { limits: [limit(["*"], ["*"]), limit(["pods"])] }),
    /put entries with '\*' last/,
  ],
  [
    "an empty lock name",
    shard("b", "op-1", ["y"], { controller: { leaderElectionName: "" } }),
    /leaderElectionName/,
  ],
  ["a webhook port of 0", shard("b", "op-1", ["y"], { webhook: { certDir: "/c", port: 0 } }), /port/],
  [
    "D6: more shards than buckets",
    {
      ...shard("r", "x", []),
      spec: {
        root: {
          prefix: "r",
          targetStatefulSet: "op",
          auto: { shardingSize: 33, everyShardReplicas: 1 },
          resourceSelector: [limit(["pods"])],
        },
      },
    },
    /shardingSize/,
  ],
  ["a name too long for a label", shard("n".repeat(64), "op-1", ["y"]), /63/],
];
for (const [name, object, message] of invalid) {
  test(`validation: ShardingConfig with ${name} is refused with 422 and the field`, async () => {
    const it = await bench();
    await using _server = it.server;
    const { body } = await post(it, "/validate-ctrlmesh-shardingconfig", configReview(object));
    assert.equal(body.response.allowed, false);
    assert.equal(body.response.status?.code, 422);
    assert.match(body.response.status?.message ?? "", message);
  });
}

test("validation: a specific limit before the wildcard is accepted", async () => {
  const it = await bench();
  await using _server = it.server;
  const object = shard("b", "op-1", ["y"], { limits: [limit(["pods"]), limit(["*"], ["*"])] });
  const { body } = await post(it, "/validate-ctrlmesh-shardingconfig", configReview(object));
  assert.equal(body.response.allowed, true);
});

test("validation: the selector can't be changed, unless the object is going away or says not to be judged", async () => {
  const it = await bench();
  await using _server = it.server;
  const oldObject = shard("a", "op-0", ["x"]);
  const next = shard("a", "op-7", ["x"]);
  const ask = (object: object) =>
    post(it, "/validate-ctrlmesh-shardingconfig", configReview(object, { operation: "UPDATE", oldObject }));
  assert.match(
    (await ask(next)).body.response.status?.message ?? "",
    /^spec\.selector: it cannot be changed/,
  );
  const going = { ...next, metadata: { ...next.metadata, deletionTimestamp: "2030-01-01T00:00:00Z" } };
  assert.equal((await ask(going)).body.response.allowed, true);
  const ignored = { ...next, metadata: { ...next.metadata, labels: { [labels.ignoreValidate]: "" } } };
  assert.equal((await ask(ignored)).body.response.allowed, true);
});

test("D54: overlaps and gaps among the shards of an operator are warned of, not refused", async () => {
  const it = await bench();
  await using _server = it.server;
  const object = shard("b", "op-1", ["x", "y"]);
  const { response } = (await post(it, "/validate-ctrlmesh-shardingconfig", configReview(object))).body;
  assert.equal(response.allowed, true);
  assert.equal(response.warnings?.length, 2);
  assert.match(response.warnings?.[0] ?? "", /^configmaps: namespace\/x claimed by a and b/);
  assert.match(
    response.warnings?.[1] ?? "",
    /^configmaps: bucket\/0, bucket\/1, bucket\/2 and 29 more belong to no shard/,
  );
  for (const warning of response.warnings ?? []) assert.ok(warning.length <= 256);
});

test("D54: shards of different operators are not compared", async () => {
  const it = await bench({ groupConfigs: (configs) => configs.map((config) => ({ configs: [config] })) });
  await using _server = it.server;
  const { response } = (
    await post(it, "/validate-ctrlmesh-shardingconfig", configReview(shard("b", "q-1", ["x"])))
  ).body;
  assert.deepEqual(response, { uid: "u-1", allowed: true });
});

const faults: readonly [string, string, object, RegExp][] = [
  [
    "a delay without a time",
    "/validate-ctrlmesh-faultinjection",
    { httpFault: [{ match: { resources: [] }, delay: { percent: "50" } }] },
    /spec\.httpFault\[0\]\.delay\.fixedDelay/,
  ],
  [
    "an unreadable percentage",
    "/validate-ctrlmesh-faultinjection",
    { httpFault: [{ match: { resources: [] }, delay: { fixedDelay: "1s", percent: "many" } }] },
    /spec\.httpFault\[0\]\.delay\.percent/,
  ],
  [
    "D21: no match",
    "/validate-ctrlmesh-faultinjection",
    { httpFault: [{ abort: { httpStatus: 500, percent: "50" } }] },
    /spec\.httpFault\[0\]: match is missing/,
  ],
  [
    "a rate limit whose name is a number",
    "/validate-ctrlmesh-circuitbreaker",
    { selector: {}, rateLimitings: [{ name: 3 }] },
    /spec\.rateLimitings\[0\]/,
  ],
];
for (const [name, path, spec, message] of faults) {
  test(`D26: a policy with ${name} is refused with the field`, async () => {
    const it = await bench();
    await using _server = it.server;
    const { response } = (await post(it, path, configReview({ metadata: { name: "f" }, spec }))).body;
    assert.equal(response.status?.code, 422);
    assert.match(response.status?.message ?? "", message);
  });
}

test("webhook server: a renewed certificate is served to the next connection without a restart", async () => {
  const it = await bench();
  await using _server = it.server;
  const first = await servedSerial(it.address, it.ca);
  it.state.certificate = await it.issue();
  assert.equal(await servedSerial(it.address, it.ca), first);
  it.server.reloadCertificate();
  assert.notEqual(await servedSerial(it.address, it.ca), first);
  assert.equal(readCertificate(it.state.certificate.certificatePem).isAuthority, false);
});

test("webhook server: a port that is taken is told", async () => {
  const first = await bench();
  await using _server = first.server;
  const second = createWebhookServerOn(first);
  await using _second = second;
  await assert.rejects(second.listen("127.0.0.1", first.address.port), { code: "PORT_IN_USE" });
});

function createWebhookServerOn(it: Bench) {
  return createWebhookServer({
    namespaces: { cached: () => undefined, read: away },
    shardingConfigs: { read: away },
    namespaceObjects: { ensure: away },
    apiServer: { read: away },
    settings: {
      image: "",
      imagePullPolicy: "Never",
      resources: {},
      managerAddress: "",
      managerNamespace: "",
      extraEnv: {},
      iptablesBackend: "nft",
    },
    nativeSidecars: true,
    stamp: { shardLabels: defaultShardLabels, hash: "murmur3", exemptNamespaces: [] },
    groupConfigs: () => [],
    certificate: () => it.state.certificate,
    log: silentLog,
  });
}

function servedSerial({ port }: AddressInfo, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
