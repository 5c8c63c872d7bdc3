import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request as httpsRequest, type RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { HashFunction, type WebhookRoutes, WebhookRoutesSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { type Clock, systemClock } from "#runtime/clock";
import { type Log, silentLog } from "#runtime/log";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { WebhookRelay } from "./relay.ts";

let authority: Promise<Authority> | undefined;

/** A serving certificate for `webhook.ops.svc`, each with another key. */
export async function webhookKeyPair(): Promise<{ readonly cert: string; readonly key: string }> {
  authority ??= createAuthority({ commonName: "webhook", days: 10 });
  const issued = await issueCertificate(await authority, {
    commonName: "webhook",
    dnsNames: ["webhook.ops.svc"],
    ipAddresses: [],
    days: 5,
    usage: "server",
  });
  return { cert: issued.certificatePem, key: issued.privateKeyPem ?? "" };
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export type Operator = (request: SeenRequest, response: ServerResponse) => void;

/** A pod of an operator: its webhook on real HTTPS, and the relay before it. */
export class RelayedPod implements AsyncDisposable {
  readonly name: string;
  readonly relay: WebhookRelay;
  readonly directory: string;
  readonly seen: readonly SeenRequest[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    name: string,
    relay: WebhookRelay,
    rest: { directory: string; seen: readonly SeenRequest[]; stack: AsyncDisposableStack },
  ) {
    this.name = name;
    this.relay = relay;
    this.directory = rest.directory;
    this.seen = rest.seen;
    this.#stack = rest.stack;
  }

  /** @param options.host an address of the loopback network, one for each pod */
  static async start(
    name: string,
    options: {
      readonly shard: string;
      readonly host: string;
      readonly peerPort?: number;
      readonly clock?: Clock;
      readonly operator?: Operator;
      readonly log?: Log;
      readonly withoutCertificate?: boolean;
      readonly random?: () => number;
    },
  ): Promise<RelayedPod> {
    const { shard, host, clock = systemClock, operator = answersWith(name) } = options;
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "ctrlmesh-webhook-"));
    stack.defer(() => rm(directory, { recursive: true }));
    if (options.withoutCertificate !== true) await putKeyPair(directory, await webhookKeyPair());
    const seen: SeenRequest[] = [];
    const server = createServer(await webhookKeyPair(), (request, response) => {
      void readAll(request).then((body) => {
        const { method = "", url = "", headers } = request;
        seen.push({ method, url, headers, body });
        operator({ method, url, headers, body }, response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    stack.defer(async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
    const relay = await WebhookRelay.start({
      listen: { host, port: 0 },
      peers: { host, port: 0 },
      peerPort: options.peerPort ?? 0,
      operator: { host, port: (server.address() as AddressInfo).port },
      certificateDirectory: directory,
      shard: () => shard,
      clock,
      log: options.log ?? silentLog,
      random: options.random ?? (() => 0),
    });
    stack.use(relay);
    return new RelayedPod(name, relay, { directory, seen, stack: stack.move() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** Both files change at once, as the kubelet does it with a link. */
export async function putKeyPair(directory: string, pair: { cert: string; key: string }): Promise<void> {
  for (const [name, text] of [
    ["tls.crt", pair.cert],
    ["tls.key", pair.key],
  ] as const) {
    await writeFile(join(directory, `${name}.next`), text);
    await rename(join(directory, `${name}.next`), join(directory, name));
  }
}

export function answersWith(name: string): Operator {
  return (_request, response) => {
    response.writeHead(200, { "content-type": "application/json", "x-answered-by": name });
    response.end(JSON.stringify({ kind: "AdmissionReview", response: { uid: "1", allowed: true } }));
  };
}

export const reviewOf = (request: object): string =>
  JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request });

/** Namespaces by name only: no bucket is anybody's. */
export function routesOf(
  shards: Record<string, { readonly namespaces: readonly string[]; readonly addresses: readonly string[] }>,
  key = 1,
): WebhookRoutes {
  const entries = Object.entries(shards);
  return create(WebhookRoutesSchema, {
    hash: HashFunction.MURMUR3,
    relayKey: new Uint8Array(32).fill(key),
    shards: entries.map(([name, { namespaces, addresses }]) => ({
      name,
      namespaces: [...namespaces],
      endpoints: addresses.map((address, index) => ({ pod: `${name}-${index}`, address })),
    })),
    namedNamespaces: entries.flatMap(([, { namespaces }]) => [...namespaces]),
  });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** Fingerprint of the certificate that was shown. */
  readonly fingerprint: string;
}

/** A request as the API server sends it, on a connection of its own. */
export async function send(
  target: { readonly host: string; readonly port: number },
  body: string | Buffer,
  options: RequestOptions & Pick<ConnectionOptions, "pskCallback"> = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = httpsRequest({
    ...target,
    method: "POST",
    path: "/validate?timeout=5s",
    agent: false,
    ca: (await authority)?.certificatePem,
    servername: "webhook.ops.svc",
    headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    ...options,
  });
  outgoing.once("response", resolve);
  outgoing.once("error", reject);
  outgoing.end(body);
  const response = await promise;
  const fingerprint = (response.socket as TLSSocket).getPeerCertificate().fingerprint256 ?? "";
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: await readAll(response),
    fingerprint,
  };
}

async function readAll(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
