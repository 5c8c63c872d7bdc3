import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isAnswer, metadataOf } from "../case.ts";
import type { Answer, Api, Json } from "../client.ts";
import { jsonPatch, type Review, startWebhook, type WebhookServer } from "../webhook-server.ts";

const registrations = "/apis/admissionregistration.k8s.io/v1";

interface Hooked {
  readonly webhook: WebhookServer;
  readonly namespace: string;
  /** Of the namespace's secrets. */
  readonly path: string;
}

type Kind = "mutating" | "validating";

/** Registers a webhook for the secrets of one namespace and runs the case once it is in force. */
async function hooked(
  api: Api,
  type: Kind,
  { change = {}, review }: { change?: Json; review: Review },
  run: (hooked: Hooked) => Promise<void>,
): Promise<void> {
  await using webhook = await startWebhook((request) =>
    request.name === "probe" ? { allowed: true, warnings: ["in force"] } : review(request),
  );
  const namespace = await api.namespace();
  await api.patch(`/api/v1/namespaces/${namespace}`, "merge", {
    metadata: { labels: { hooked: namespace } },
  });
  const configurations = `${registrations}/${type}webhookconfigurations`;
  await api.made(configurations, {
    metadata: { name: namespace },
    webhooks: [
      {
        name: "hook.example.com",
        clientConfig: webhook.clientConfig,
        rules: [
          { operations: ["CREATE", "UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["secrets"] },
        ],
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        namespaceSelector: { matchLabels: { hooked: namespace } },
        timeoutSeconds: 5,
        ...change,
      },
    ],
  });
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  try {
    await inForce(api, path);
    await run({ webhook, namespace, path });
  } finally {
    await api.delete(`${configurations}/${namespace}`);
  }
}

/** API servers learn of configurations by a watch, a moment late. */
async function inForce(api: Api, path: string): Promise<void> {
  const probe = { metadata: { name: "probe", labels: { watched: "yes" } } };
  for (let tries = 0; tries < 600; tries++) {
    const { headers } = await api.post(`${path}?dryRun=All`, probe);
    if (headers.warning !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the webhook is not asked");
}

const create = (api: Api, path: string, metadata: Json = {}): Promise<Answer> =>
  api.post(path, { metadata: { name: "a", ...metadata } });

const ofOthers = ({ asked }: WebhookServer): Json[] => asked.filter(({ name }) => name !== "probe");

export const admissionCases: readonly ConformanceCase[] = [
  conforms("webhook-is-told-everything", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: true }) }, async ({ webhook, namespace, path }) => {
      await create(api, `${path}?dryRun=All`);
      const [request] = ofOthers(webhook);
      assert.partialDeepStrictEqual(request, {
        kind: { group: "", version: "v1", kind: "Secret" },
        resource: { group: "", version: "v1", resource: "secrets" },
        requestKind: { group: "", version: "v1", kind: "Secret" },
        name: "a",
        namespace,
        operation: "CREATE",
        dryRun: true,
        userInfo: { username: "admin" },
        object: { kind: "Secret", metadata: { name: "a" } },
        oldObject: null,
        options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
      });
    }),
  ),
  conforms("webhook-patch-is-applied-and-validated", (api) =>
    hooked(
      api,
      "mutating",
      { review: () => jsonPatch([{ op: "add", path: "/metadata/labels", value: { patched: "yes" } }]) },
      async ({ path }) => {
        const { status, body } = await create(api, path);
        assert.deepEqual([status, metadataOf(body).labels], [201, { patched: "yes" }]);
        const list = await api.get(`${path}?labelSelector=patched`);
        assert.equal((list.body.items as Json[]).length, 1);
      },
    ),
  ),
  conforms("webhook-patch-with-an-invalid-result", (api) =>
    hooked(
      api,
      "mutating",
      { review: () => jsonPatch([{ op: "add", path: "/metadata/labels", value: { "a b": "c" } }]) },
      async ({ path }) => {
        isAnswer(await create(api, path), {
          status: 422,
          reason: "Invalid",
          message: /metadata\.labels: Invalid value: "a b"/,
        });
      },
    ),
  ),
  conforms("webhook-denial", (api) =>
    hooked(
      api,
      "validating",
      { review: () => ({ allowed: false, status: { message: "not so" } }) },
      async ({ path }) => {
        isAnswer(await create(api, path), {
          status: 400,
          reason: "",
          message: 'admission webhook "hook.example.com" denied the request: not so',
        });
        assert.equal((await api.get(`${path}/a`)).status, 404);
      },
    ),
  ),
  conforms("webhook-denial-with-code-and-reason", (api) =>
    hooked(
      api,
      "validating",
      { review: () => ({ allowed: false, status: { code: 409, reason: "Conflict", message: "taken" } }) },
      async ({ path }) => {
        isAnswer(await create(api, path), {
          status: 409,
          reason: "Conflict",
          message: 'admission webhook "hook.example.com" denied the request: taken',
        });
      },
    ),
  ),
  conforms("webhook-denial-without-words", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: false }) }, async ({ path }) => {
      isAnswer(await create(api, path), {
        status: 400,
        reason: "",
        message: 'admission webhook "hook.example.com" denied the request without explanation',
      });
    }),
  ),
  conforms("webhook-warnings", (api) =>
    hooked(
      api,
      "validating",
      { review: () => ({ allowed: true, warnings: ["mind this"] }) },
      async ({ path }) => {
        assert.equal((await create(api, path)).headers.warning, '299 - "mind this"');
      },
    ),
  ),
  conforms("webhook-timeout-fail", (api) =>
    hooked(
      api,
      "validating",
      { change: { timeoutSeconds: 1 }, review: () => undefined },
      async ({ path }) => {
        isAnswer(await create(api, path), {
          status: 500,
          reason: "InternalError",
          message: /^Internal error occurred: failed calling webhook "hook\.example\.com": /,
        });
      },
    ),
  ),
  conforms("webhook-timeout-ignore", (api) =>
    hooked(
      api,
      "validating",
      { change: { timeoutSeconds: 1, failurePolicy: "Ignore" }, review: () => undefined },
      async ({ path }) => assert.equal((await create(api, path)).status, 201),
    ),
  ),
  conforms("webhook-object-selector", (api) =>
    hooked(
      api,
      "validating",
      { change: { objectSelector: { matchLabels: { watched: "yes" } } }, review: () => ({ allowed: false }) },
      async ({ path }) => {
        assert.equal((await create(api, path)).status, 201);
        assert.equal((await create(api, path, { name: "b", labels: { watched: "yes" } })).status, 400);
        // An update matches by the object before it, too.
        assert.equal(
          (await api.patch(`${path}/a`, "merge", { metadata: { labels: { watched: "yes" } } })).status,
          400,
        );
      },
    ),
  ),
  conforms("webhook-namespace-selector", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: false }) }, async ({ path }) => {
      assert.equal((await create(api, path)).status, 400);
      const other = `/api/v1/namespaces/${await api.namespace()}/secrets`;
      assert.equal((await create(api, other)).status, 201);
    }),
  ),
  conforms("webhook-on-update-gets-both-states", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: true }) }, async ({ webhook, path }) => {
      await create(api, path);
      await api.patch(`${path}/a`, "merge", { metadata: { labels: { x: "1" } } });
      const [, update] = ofOthers(webhook);
      assert.partialDeepStrictEqual(update, {
        operation: "UPDATE",
        object: { metadata: { labels: { x: "1" } } },
        oldObject: { metadata: { name: "a" } },
      });
    }),
  ),
  conforms("webhook-is-not-asked-for-other-operations", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: true }) }, async ({ webhook, path }) => {
      await create(api, path);
      await api.get(`${path}/a`);
      await api.delete(`${path}/a`);
      assert.deepEqual(
        ofOthers(webhook).map(({ operation }) => operation),
        ["CREATE"],
      );
    }),
  ),
  conforms("webhook-sees-what-apply-makes", (api) =>
    hooked(api, "validating", { review: () => ({ allowed: true }) }, async ({ webhook, path }) => {
      await api.apply(`${path}/a?fieldManager=m`, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "a" },
        stringData: { k: "v" },
      });
      assert.partialDeepStrictEqual(ofOthers(webhook)[0], {
        operation: "CREATE",
        name: "a",
        object: { metadata: { name: "a" } },
      });
    }),
  ),
  conforms(
    "mutating-admission-policy",
    async (api) => {
      const namespace = await api.namespace();
      await api.patch(`/api/v1/namespaces/${namespace}`, "merge", {
        metadata: { labels: { policed: namespace } },
      });
      await api.made(`${registrations}/mutatingadmissionpolicies`, {
        metadata: { name: namespace },
        spec: {
          matchConstraints: {
            namespaceSelector: { matchLabels: { policed: namespace } },
            resourceRules: [
              { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["secrets"] },
            ],
          },
          failurePolicy: "Fail",
          reinvocationPolicy: "Never",
          mutations: [
            {
              patchType: "ApplyConfiguration",
              applyConfiguration: {
                expression: 'Object{metadata: Object.metadata{labels: {"stamped": "yes"}}}',
              },
            },
          ],
        },
      });
      await api.made(`${registrations}/mutatingadmissionpolicybindings`, {
        metadata: { name: namespace },
        spec: { policyName: namespace },
      });
      const path = `/api/v1/namespaces/${namespace}/secrets`;
      for (let tries = 0; tries < 600; tries++) {
        const { body } = await create(api, `${path}?dryRun=All`);
        if (metadataOf(body).labels !== undefined) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.deepEqual(metadataOf((await create(api, path)).body).labels, { stamped: "yes" });
    },
    "evaluates no CEL: the manager uses its webhook there, as on versions without these policies",
  ),
];
