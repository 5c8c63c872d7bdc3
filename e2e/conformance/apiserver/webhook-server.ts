import { once } from "node:events";
import { createServer } from "node:https";
import { createAuthority, issueCertificate } from "#runtime/x509";
import type { Json } from "./client.ts";

/** What a webhook answers beside the uid, or nothing for no answer at all. */
export type Review = (request: Json) => Json | undefined;

/** A webhook of its own for a case. */
export interface WebhookServer extends AsyncDisposable {
  readonly clientConfig: Json;
  /** The requests that came, in order. */
  readonly asked: readonly Json[];
}

export async function startWebhook(review: Review): Promise<WebhookServer> {
  const authority = await createAuthority({ commonName: "webhook-ca", days: 1 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName: "webhook",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    days: 1,
    usage: "server",
  });
  const asked: Json[] = [];
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { request: asking } = JSON.parse(Buffer.concat(chunks).toString()) as { request: Json };
      asked.push(asking);
      const answer = review(asking);
      if (answer === undefined) return;
      const body = {
        kind: "AdmissionReview",
        apiVersion: "admission.k8s.io/v1",
        response: { uid: asking.uid, ...answer },
      };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(body));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    clientConfig: {
      url: `https://127.0.0.1:${port}/review`,
      caBundle: Buffer.from(authority.certificatePem).toString("base64"),
    },
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export function jsonPatch(operations: readonly Json[]): Json {
  const patch = Buffer.from(JSON.stringify(operations)).toString("base64");
  return { allowed: true, patchType: "JSONPatch", patch };
}
