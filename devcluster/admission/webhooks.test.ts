import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import { after, before, test } from "node:test";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { arrayOf, at, type JsonObject, objectOf, stringOf } from "../json.ts";
import { TestSession } from "../test-session.ts";

type Review = (request: JsonObject) => JsonObject;

/** A webhook server whose answer each test sets. */
let review: Review = () => ({ allowed: true });
let asked: JsonObject[] = [];
let authority: Authority;
let webhook: Server;
let session: TestSession;
let port = 0;

before(async () => {
  authority = await createAuthority({ commonName: "webhook-ca", days: 1 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName: "webhook",
    dnsNames: ["hook.default.svc"],
    ipAddresses: ["127.0.0.1"],
    days: 1,
    usage: "server",
  });
  webhook = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = objectOf(JSON.parse(Buffer.concat(chunks).toString()));
      const asking = objectOf(body.request);
      asked.push(asking);
      const answer = {
        kind: "AdmissionReview",
        apiVersion: "admission.k8s.io/v1",
        response: { uid: asking.uid, ...review(asking) },
      };
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => webhook.listen(0, "127.0.0.1", resolve));
  const address = webhook.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
  session = await TestSession.start({
    resolveService: ({ name, namespace }) =>
      name === "hook" && namespace === "default" ? { host: "127.0.0.1", port } : undefined,
  });
});
after(async () => {
  await session[Symbol.asyncDispose]();
  webhook.closeAllConnections();
  await new Promise((resolve) => webhook.close(resolve));
});

let count = 0;

/** Registers one webhook for ConfigMaps of a namespace of its own, for as long as the test lasts. */
async function withWebhook(
  type: "mutating" | "validating",
  change: JsonObject,
  run: (maps: string) => Promise<void>,
): Promise<void> {
  const namespace = `hooked-${++count}`;
  await session.post("/api/v1/namespaces", { metadata: { name: namespace, labels: { hooked: namespace } } });
  const path = `/apis/admissionregistration.k8s.io/v1/${type}webhookconfigurations`;
  const created = await session.post(path, {
    metadata: { name: namespace },
    webhooks: [
      {
        name: "hook.example.com",
        clientConfig: {
          caBundle: Buffer.from(authority.certificatePem).toString("base64"),
          service: { name: "hook", namespace: "default", path: "/review" },
        },
        rules: [
          {
            operations: ["CREATE", "UPDATE"],
            apiGroups: [""],
            apiVersions: ["v1"],
            resources: ["configmaps"],
          },
        ],
        namespaceSelector: { matchLabels: { hooked: namespace } },
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        timeoutSeconds: 5,
        ...change,
      },
    ],
  });
  assert.equal(created.status, 201, created.text);
  const maps = `/api/v1/namespaces/${namespace}/configmaps`;
  await session.until("the root CA", `${maps}/kube-root-ca.crt`, ({ status }) => status === 200);
  asked = [];
  try {
    await run(maps);
  } finally {
    await session.call("DELETE", `${path}/${namespace}`);
  }
}

const patchOf = (operations: unknown): JsonObject => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
});

test("mutating webhook: its patch changes the object and belongs to no field manager", async () => {
  review = () => patchOf([{ op: "add", path: "/metadata/labels", value: { stamped: "yes" } }]);
  await withWebhook("mutating", {}, async (maps) => {
    const { body } = await session.post(maps, { metadata: { name: "x" }, data: { a: "b" } });
    assert.deepEqual(at(body, "metadata", "labels"), { stamped: "yes" });
    assert.doesNotMatch(JSON.stringify(at(body, "metadata", "managedFields")), /stamped/);
    assert.deepEqual(
      [asked[0]?.operation, asked[0]?.oldObject, at(asked[0], "userInfo", "username")],
      ["CREATE", null, "admin"],
    );
  });
});

test("mutating webhook: it sees no generated name, and updates with the previous state", async () => {
  review = () => ({ allowed: true });
  await withWebhook("mutating", {}, async (maps) => {
    const { body } = await session.post(maps, { metadata: { generateName: "g-" }, data: { a: "1" } });
    assert.equal(asked[0]?.name, undefined);
    await session.patch(`${maps}/${stringOf(at(body, "metadata", "name"))}`, "merge", { data: { a: "2" } });
    assert.deepEqual(
      [asked[1]?.operation, at(asked[1]?.oldObject, "data", "a"), at(asked[1]?.object, "data", "a")],
      ["UPDATE", "1", "2"],
    );
  });
});

test("mutating webhook: with IfNeeded it is asked again after another one changed the object", async () => {
  review = ({ object }) =>
    at(object, "data", "first") === undefined
      ? patchOf([{ op: "add", path: "/data", value: { first: "1" } }])
      : { allowed: true };
  await withWebhook("mutating", { reinvocationPolicy: "IfNeeded" }, async (maps) => {
    const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    const [own] = arrayOf((await session.get(path)).body.items);
    const [hook] = arrayOf(at(own, "webhooks"));
    await session.post(path, {
      metadata: { name: "z-later" },
      webhooks: [{ ...objectOf(hook), name: "later.example.com" }],
    });
    let calls = 0;
    review = () =>
      ++calls === 2 ? patchOf([{ op: "add", path: "/data", value: { second: "2" } }]) : { allowed: true };
    await session.post(maps, { metadata: { name: "x" } });
    await session.call("DELETE", `${path}/z-later`);
    assert.equal(calls, 3);
  });
});

test("validating webhook: a refusal is the answer, with its code, and nothing is stored", async () => {
  review = () => ({ allowed: false, status: { code: 422, reason: "Invalid", message: "not like this" } });
  await withWebhook("validating", {}, async (maps) => {
    const { status, body } = await session.post(maps, { metadata: { name: "x" } });
    assert.deepEqual([status, body.reason], [422, "Invalid"]);
    assert.equal(body.message, 'admission webhook "hook.example.com" denied the request: not like this');
    assert.equal((await session.get(`${maps}/x`)).status, 404);
  });
});

test("validating webhook: its warnings reach the client as headers", async () => {
  review = () => ({ allowed: true, warnings: ["think again"] });
  await withWebhook("validating", {}, async (maps) => {
    const { headers } = await session.post(maps, { metadata: { name: "x" } });
    assert.equal(headers.warning, '299 - "think again"');
  });
});

test("webhook: selectors and rules keep it out of what it did not ask for", async () => {
  review = () => ({ allowed: false });
  await withWebhook("validating", { objectSelector: { matchLabels: { me: "yes" } } }, async (maps) => {
    assert.equal((await session.post(maps, { metadata: { name: "x" } })).status, 201);
    assert.equal((await session.post(maps, { metadata: { name: "y", labels: { me: "yes" } } })).status, 400);
    const elsewhere = "/api/v1/namespaces/default/configmaps";
    assert.equal(
      (await session.post(elsewhere, { metadata: { name: `z${count}`, labels: { me: "yes" } } })).status,
      201,
    );
    assert.equal((await session.call("DELETE", `${maps}/x`)).status, 200);
  });
});

test("webhook: down or with another certificate it refuses under Fail and is skipped under Ignore", async () => {
  const stranger = await createAuthority({ commonName: "stranger", days: 1 });
  const broken = [
    { service: { name: "none", namespace: "default" } },
    {
      caBundle: Buffer.from(stranger.certificatePem).toString("base64"),
      service: { name: "hook", namespace: "default" },
    },
    { url: "https://127.0.0.1:1/" },
  ];
  review = () => ({ allowed: true });
  for (const clientConfig of broken) {
    await withWebhook("mutating", { clientConfig }, async (maps) => {
      const { status, body } = await session.post(maps, { metadata: { name: "x" } });
      assert.equal(status, 500);
      assert.match(String(body.message), /failed calling webhook "hook\.example\.com"/);
    });
    await withWebhook("mutating", { clientConfig, failurePolicy: "Ignore" }, async (maps) => {
      assert.equal((await session.post(maps, { metadata: { name: "x" } })).status, 201);
    });
  }
  assert.equal(asked.length, 0);
});

test("webhook: dry run is told, and matchConditions are refused when configured", async () => {
  review = () => ({ allowed: true });
  await withWebhook("validating", {}, async (maps) => {
    await session.post(`${maps}?dryRun=All`, { metadata: { name: "x" } });
    assert.equal(asked[0]?.dryRun, true);
  });
  const { status, body } = await session.post(
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    {
      metadata: { name: "conditions" },
      webhooks: [
        {
          name: "a.example.com",
          clientConfig: { url: "https://127.0.0.1/" },
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          matchConditions: [{ name: "x", expression: "true" }],
        },
      ],
    },
  );
  assert.equal(status, 422);
  assert.match(String(body.message), /match conditions are not evaluated/);
});

test("service account admission: a pod gets the account and its projected volume in every container", async () => {
  await session.until(
    "the account",
    "/api/v1/namespaces/default/serviceaccounts/default",
    ({ status }) => status === 200,
  );
  const spec = {
    containers: [
      { name: "a", image: "i" },
      { name: "b", image: "i" },
    ],
    initContainers: [{ name: "c", image: "i" }],
  };
  const { body } = await session.post("/api/v1/namespaces/default/pods", { metadata: { name: "p" }, spec });
  const [volume] = arrayOf(at(body, "spec", "volumes"));
  assert.match(stringOf(at(volume, "name")), /^kube-api-access-[a-z0-9]{5}$/);
  assert.equal(arrayOf(at(volume, "projected", "sources")).length, 3);
  for (const container of [
    ...arrayOf(at(body, "spec", "containers")),
    ...arrayOf(at(body, "spec", "initContainers")),
  ]) {
    const [mount] = arrayOf(at(container, "volumeMounts"));
    assert.equal(at(mount, "mountPath"), "/var/run/secrets/kubernetes.io/serviceaccount");
  }
  const missing = await session.post("/api/v1/namespaces/default/pods", {
    metadata: { name: "q" },
    spec: { ...spec, serviceAccountName: "none" },
  });
  assert.equal(missing.status, 403);
});
