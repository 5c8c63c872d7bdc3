import { once } from "node:events";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { answerMs, type Endpoint } from "./channel.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./tally.ts";
import type { Views } from "./views.ts";

interface MisbehaviourDeps {
  readonly endpoint: Endpoint;
  readonly random: Random;
  readonly tally: Tally;
  readonly views: Views;
}

/** What clients do to a server that no client library does, each over a connection of its own. */
export class Misbehaviour {
  readonly #deps: MisbehaviourDeps;

  constructor(deps: MisbehaviourDeps) {
    this.#deps = deps;
  }

  /** One at random; never rejects. */
  async runOne(): Promise<void> {
    const { random, tally, views } = this.#deps;
    const startMs = performance.now();
    const [name, run] = random.pick<readonly [string, () => Promise<void>]>([
      ["cut before TLS", () => this.#cutBeforeTls()],
      ["cut handshake", () => this.#cutHandshake()],
      ["cut unused", () => this.#cutAfter("")],
      ["cut head", () => this.#cutAfter("GET /api/v1/configmaps HTTP/1.1\r\nhost: x\r\n")],
      ["cut body", () => this.#cutAfter(this.#head("POST", "content-length: 1000\r\n", "{"))],
      ["cut answer", () => this.#cutAfter(this.#head("GET", "", ""))],
      ["refused head", () => this.#refusedHead()],
      ["refused upgrade", () => this.#refusedUpgrade()],
    ]);
    try {
      await run();
      tally.answered("misbehaviour", name);
    } catch (error) {
      if (!views.isOutage(startMs, performance.now()))
        tally.violation(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  async #cutBeforeTls(): Promise<void> {
    const socket = connectTcp(this.#deps.endpoint.port, "127.0.0.1");
    await once(socket, "connect");
    socket.destroy();
  }

  async #cutHandshake(): Promise<void> {
    const socket = connectTcp(this.#deps.endpoint.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1]));
    socket.destroySoon();
    await once(socket, "close");
  }

  async #cutAfter(text: string): Promise<void> {
    const socket = await this.#connect();
    socket.write(text);
    // Let some of them get an answer on its way.
    if (this.#deps.random.below(2) === 0 && text.endsWith("\r\n\r\n")) await firstBytes(socket);
    socket.destroy();
    if (!socket.closed) await once(socket, "close");
  }

  async #refusedHead(): Promise<void> {
    const socket = await this.#connect();
    socket.write("GET /api/v1/configmaps HTTP/1.1\r\nhost : x\r\n\r\n");
    const answer = await firstBytes(socket);
    socket.destroy();
    const line = answer.toString("latin1").split("\r\n")[0];
    if (line?.startsWith("HTTP/1.1 400") !== true) throw new Error(`answered ${line}`);
  }

  async #refusedUpgrade(): Promise<void> {
    const { port, caPem, token } = this.#deps.endpoint;
    const headers = {
      authorization: `Bearer ${token()}`,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
    };
    const path = "/api/v1/configmaps?watch=1";
    const signal = AbortSignal.timeout(answerMs);
    const call = request({ host: "127.0.0.1", port, ca: caPem, path, headers, agent: false, signal }).end();
    const [answer] = await once(call, "response");
    answer.resume();
    await once(answer, "close");
    if (answer.statusCode !== 400) throw new Error(`status ${answer.statusCode}`);
  }

  #head(method: string, more: string, body: string): string {
    const authorization = `authorization: Bearer ${this.#deps.endpoint.token()}`;
    return `${method} /api/v1/namespaces/soak-t0/serviceaccounts HTTP/1.1\r\nhost: x\r\n${authorization}\r\n${more}\r\n${body}`;
  }

  async #connect(): Promise<TLSSocket> {
    const { port, caPem } = this.#deps.endpoint;
    const socket = connectTls({ host: "127.0.0.1", port, ca: caPem });
    await once(socket, "secureConnect");
    socket.on("error", () => undefined);
    return socket;
  }
}

/** A connection that ends without an answer is told of as one: its API server may be away. */
function firstBytes(socket: TLSSocket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.once("data", resolve);
    socket.once("close", () => reject(new Error("the connection ended without an answer")));
    socket.setTimeout(answerMs, () => socket.destroy());
  });
}
