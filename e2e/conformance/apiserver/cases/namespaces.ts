import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isAnswer, metadataOf } from "../case.ts";
import type { Json } from "../client.ts";

export const namespaceCases: readonly ConformanceCase[] = [
  conforms("namespace-is-born-active-with-its-name-as-label", async (api) => {
    const { body } = await api.get(`/api/v1/namespaces/${await api.namespace()}`);
    assert.equal((body.status as Json).phase, "Active");
    assert.partialDeepStrictEqual(body, { spec: { finalizers: ["kubernetes"] } });
    assert.deepEqual(metadataOf(body).labels, { "kubernetes.io/metadata.name": metadataOf(body).name });
  }),
  conforms("namespace-gets-account-and-ca", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}`;
    await api.until("default account", `${path}/serviceaccounts/default`, ({ status }) => status === 200);
    const { body } = await api.until(
      "CA",
      `${path}/configmaps/kube-root-ca.crt`,
      ({ status }) => status === 200,
    );
    assert.match(String((body.data as Json)["ca.crt"]), /^-----BEGIN CERTIFICATE-----/);
  }),
  conforms("namespace-terminating-refuses-creates", async (api) => {
    const name = await api.namespace();
    const secrets = `/api/v1/namespaces/${name}/secrets`;
    await api.made(secrets, { metadata: { name: "held", finalizers: ["example.com/x"] } });
    const deleted = await api.delete(`/api/v1/namespaces/${name}`);
    assert.partialDeepStrictEqual(deleted.body, { kind: "Namespace", status: { phase: "Terminating" } });
    const answer = await api.post(secrets, { metadata: { name: "late" } });
    isAnswer(answer, {
      status: 403,
      reason: "Forbidden",
      message: `secrets "late" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
    });
    assert.partialDeepStrictEqual(answer.body, {
      details: {
        name: "late",
        kind: "secrets",
        causes: [
          {
            reason: "NamespaceTerminating",
            message: `namespace ${name} is being terminated`,
            field: "metadata.namespace",
          },
        ],
      },
    });
    await api.until(
      "marked for deletion",
      `${secrets}/held`,
      ({ body }) => metadataOf(body).deletionTimestamp !== undefined,
    );
    assert.equal(
      (await api.patch(`${secrets}/held`, "merge", { metadata: { finalizers: null } })).status,
      200,
    );
    await api.until("namespace gone", `/api/v1/namespaces/${name}`, ({ status }) => status === 404);
  }),
  conforms("namespace-default-stays", async (api) => {
    isAnswer(await api.delete("/api/v1/namespaces/default"), {
      status: 403,
      reason: "Forbidden",
      message: 'namespaces "default" is forbidden: this namespace may not be deleted',
    });
  }),
  conforms("event-in-both-groups", async (api) => {
    const name = await api.namespace();
    await api.made(`/api/v1/namespaces/${name}/events`, {
      metadata: { name: "e" },
      involvedObject: { kind: "Secret", namespace: name, name: "s" },
      reason: "Tested",
      message: "text",
      type: "Warning",
      source: { component: "suite" },
    });
    const { body } = await api.get(`/apis/events.k8s.io/v1/namespaces/${name}/events/e`);
    assert.partialDeepStrictEqual(body, {
      kind: "Event",
      apiVersion: "events.k8s.io/v1",
      regarding: { kind: "Secret", name: "s" },
      note: "text",
      reason: "Tested",
      type: "Warning",
      deprecatedSource: { component: "suite" },
    });
  }),
  conforms("event-of-another-namespace", async (api) => {
    const name = await api.namespace();
    isAnswer(
      await api.post(`/api/v1/namespaces/${name}/events`, {
        metadata: { name: "e" },
        involvedObject: { kind: "Secret", namespace: "other", name: "s" },
      }),
      {
        status: 422,
        reason: "Invalid",
        message: /involvedObject\.namespace: Invalid value: "other": does not match event\.namespace$/,
      },
    );
  }),
];
