import { request } from "node:https";
import { isIP } from "node:net";
import { at, isObject, type JsonObject, numberOf, stringOf } from "../json.ts";

/** Finds where a webhook's Service is reached: there is no cluster network here. */
export type ServiceResolver = (service: {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}) => { readonly host: string; readonly port: number } | undefined;

interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Name in the certificate. */
  readonly serverName: string;
  readonly ca: Buffer | undefined;
}

/** Above this an answer is no AdmissionReview. */
const answerLimitBytes = 16 * 1024 * 1024;

/**
 * Sends one AdmissionReview.
 *
 * @returns the `response` part
 * @throws Error saying why the call failed: refused, timed out, another certificate, no AdmissionReview
 */
export async function callWebhook(
  clientConfig: unknown,
  review: JsonObject,
  resolve: ServiceResolver,
  signal: AbortSignal,
): Promise<JsonObject> {
  const endpoint = endpointOf(clientConfig, resolve);
  const answer: unknown = JSON.parse(await post(endpoint, JSON.stringify(review), signal));
  const response = at(answer, "response");
  if (at(answer, "kind") !== "AdmissionReview" || !isObject(response))
    throw new Error("the answer is no AdmissionReview with a response");
  if (response.uid !== at(review, "request", "uid")) throw new Error("the answer has another uid");
  return response;
}

function endpointOf(clientConfig: unknown, resolve: ServiceResolver): Endpoint {
  const bundle = stringOf(at(clientConfig, "caBundle"));
  const ca = bundle === "" ? undefined : Buffer.from(bundle, "base64");
  const url = at(clientConfig, "url");
  if (typeof url === "string") {
    const { hostname, port, pathname, search } = new URL(url);
    const host = hostname.replaceAll(/[[\]]/g, "");
    return { host, serverName: host, port: port === "" ? 443 : Number(port), path: pathname + search, ca };
  }
  const service = at(clientConfig, "service");
  const [namespace, name] = [stringOf(at(service, "namespace")), stringOf(at(service, "name"))];
  const address = resolve({ namespace, name, port: numberOf(at(service, "port")) || 443 });
  if (address === undefined) throw new Error(`service ${JSON.stringify(name)} not found`);
  const path = stringOf(at(service, "path"));
  return {
    ...address,
    serverName: `${name}.${namespace}.svc`,
    path: path.startsWith("/") ? path : `/${path}`,
    ca,
  };
}

function post(
  { host, port, path, serverName, ca }: Endpoint,
  body: string,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host,
        port,
        path,
        method: "POST",
        agent: false,
        signal,
        ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
        ...(ca === undefined ? {} : { ca }),
        headers: {
          "content-type": "application/json",
          accept: "application/json",
          "content-length": Buffer.byteLength(body),
          "user-agent": "kube-apiserver-admission",
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerLimitBytes) response.destroy(new Error("the answer is too large"));
          chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`the webhook answered ${response.statusCode}: ${text.slice(0, 200)}`));
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}
