import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "#api/meta";
import { ports } from "#api/ports";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { operatorNamespace, podOf, shardingConfig } from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh, root } from "./mesh.ts";
import { readPod } from "./pod-client.ts";

const webhookName = "webhook.demo.svc";
const spec = { webhook: { certDir: "/certs", port: 9443 }, controller: { leaderElectionName: "digest" } };

interface Template {
  readonly spec: { readonly containers: readonly object[] };
}

/** The example operator with a webhook beside it, one pod for each of two shards. Returns the webhook's authority. */
async function startOperatorsWithWebhook(mesh: Mesh): Promise<string> {
  const authority = await createAuthority({ commonName: "webhook", days: 2 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName: "webhook",
    dnsNames: [webhookName],
    ipAddresses: [],
    days: 1,
    usage: "server",
  });
  await mesh.namespace(operatorNamespace, true);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  await mesh.apply({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "webhook-certs", namespace: operatorNamespace },
    type: "kubernetes.io/tls",
    data: { "tls.crt": base64(certificatePem), "tls.key": base64(privateKeyPem) },
  });
  for (const [ordinal, namespace] of ["team-a", "team-b"].entries()) {
    await mesh.namespace(namespace);
    await mesh.apply(shardingConfig({ name: `digest-${ordinal}`, ordinal, namespaces: [namespace], spec }));
  }
  const text = readFileSync(join(root, "examples/demo/operator.yaml"), "utf8");
  for (const document of parseAllDocuments(text)) await mesh.apply(withWebhook(document.toJS()));
  await mesh.shardsReady(operatorNamespace);
  return authority.certificatePem;
}

function withWebhook(object: KubernetesObject & { spec?: { template: Template } }): KubernetesObject {
  if (object.kind !== "StatefulSet" || object.spec === undefined) return object;
  const { template } = object.spec;
  const webhook = {
    name: "webhook",
    image: "webhook",
    command: ["node", join(root, "e2e/flow/review-answerer.ts")],
    env: [
      { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "LISTEN_HOST", value: "127.0.0.1" },
    ],
    volumeMounts: [{ name: "webhook-certs", mountPath: "/certs" }],
  };
  const podSpec = {
    ...template.spec,
    containers: [...template.spec.containers, webhook],
    volumes: [{ name: "webhook-certs", secret: { secretName: "webhook-certs" } }],
  };
  return { ...object, spec: { ...object.spec, template: { ...template, spec: podSpec } } };
}

/** Asks as the API server does. Resolves with the pod whose webhook answered, or with the status. */
async function ask(mesh: Mesh, pod: string, namespace: string, ca: string): Promise<string> {
  const { ip } = await readPod(mesh, pod);
  const body = JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "1",
      resource: { group: "", version: "v1", resource: "configmaps" },
      namespace,
      name: "x",
    },
  });
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({
      host: ip,
      port: ports.proxyWebhook,
      path: "/validate?timeout=5s",
      method: "POST",
      servername: webhookName,
      ca,
      agent: false,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    });
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      response.setEncoding("utf8");
      let text = "";
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("error", reject);
      response.once("end", () =>
        resolve(response.statusCode === 200 ? warningOf(text) : `${response.statusCode}`),
      );
    });
    outgoing.end(body);
  });
}

function warningOf(text: string): string {
  const review = JSON.parse(text) as { response: { warnings: readonly string[] } };
  return review.response.warnings.join();
}

test("webhook relay: whichever pod the API server asks, the shard that has the namespace answers", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager();
  await manager.start();
  const ca = await startOperatorsWithWebhook(mesh);
  const owners = { "team-a": podOf(0), "team-b": podOf(1) };
  let answers: readonly string[] = [];
  const askAll = async (): Promise<boolean> => {
    const asked = [podOf(0), podOf(1)].flatMap((pod) =>
      Object.entries(owners).map(async ([namespace, owner]) => {
        const answer = await ask(mesh, pod, namespace, ca).catch((error: Error) => error.message);
        return answer === owner ? "" : `${pod} asked about ${namespace}: ${answer}`;
      }),
    );
    answers = (await Promise.all(asked)).filter((wrong) => wrong !== "");
    return answers.length === 0;
  };
  await eventually("every review is answered by its owner", askAll, { detail: () => answers.join("\n") });

  // The owner goes away and another pod of its shard comes: nobody else answers in between.
  const before = await readPod(mesh, podOf(1));
  await mesh.client.delete(
    kinds.pods,
    { namespace: operatorNamespace, name: podOf(1) },
    { signal: AbortSignal.timeout(10_000) },
  );
  const seen = new Set<string>();
  await eventually("the shard's next pod answers", async () => {
    const answer = await ask(mesh, podOf(0), "team-b", ca);
    seen.add(answer);
    const { uid } = await readPod(mesh, podOf(1)).catch(() => before);
    return answer === podOf(1) && uid !== before.uid;
  });
  assert.ok(!seen.has(podOf(0)), `answered by ${[...seen].join()}`);

  await manager.stop();
  assert.equal(await ask(mesh, podOf(0), "team-b", ca), podOf(1), "without a manager");
});
