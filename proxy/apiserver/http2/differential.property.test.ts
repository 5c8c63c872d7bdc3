import assert from "node:assert/strict";
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { test } from "node:test";
import { eventually } from "../../transport/raw-peers.ts";
import { Http2Harness, within } from "./http2-harness.ts";
import { seededRandom } from "./seeded-random.ts";

/**
 * The same random requests through Node's own client and server, once straight and once through the proxy: what both
 * ends see has to be the same, whatever else runs on the connection.
 */

const seedName = "CTRLMESH_TEST_SEED";
const seed = Number(process.env[seedName] ?? Date.now() % 1_000_000_007);
const requestsPerRun = 150;

interface Plan {
  readonly method: string;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly status: number;
  readonly hasTrailers: boolean;
  readonly hasInformation: boolean;
  /** Octets of the answer behind which the client cancels; undefined: it reads to the end. */
  readonly cancelAt: number | undefined;
  /** Whether the server resets the stream in the middle of its answer. */
  readonly isReset: boolean;
  readonly isSlow: boolean;
  readonly isRefused: boolean;
}

function planOf(random: () => number): Plan {
  const size = () => Math.floor(random() ** 4 * 200_000);
  const hasContent = random() < 0.4;
  const downBytes = size();
  return {
    method: hasContent ? "PUT" : random() < 0.1 ? "HEAD" : "GET",
    upBytes: hasContent ? size() : 0,
    downBytes,
    status: [200, 201, 204, 404, 409, 500][Math.floor(random() * 6)] ?? 200,
    hasTrailers: random() < 0.2,
    hasInformation: random() < 0.1,
    cancelAt: random() < 0.1 ? Math.floor(random() * downBytes) : undefined,
    isReset: random() < 0.05,
    isSlow: random() < 0.2,
    isRefused: random() < 0.15,
  };
}

/** What the client saw of one request. */
interface Outcome {
  readonly status: string;
  readonly answer: string;
  /** Status codes of heads before the last one. */
  readonly information: string;
  readonly trailer: string;
  readonly bytes: number;
  readonly isWhole: boolean;
  readonly code: number;
}

/** Answers by what the request says of itself. */
function serve(harness: Http2Harness, plans: readonly Plan[]): ReadonlyMap<number, number> {
  const received = new Map<number, number>();
  harness.upstream.server.removeAllListeners("stream");
  harness.upstream.server.on("stream", (stream, headers) => {
    const index = Number(headers["x-index"]);
    const plan = plans[index];
    assert.ok(plan);
    stream.on("error", () => undefined);
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on("end", () => {
      received.set(index, bytes);
      if (stream.destroyed) return;
      if (plan.hasInformation) stream.additionalHeaders({ ":status": 103, link: "<a>" });
      const endStream = plan.method === "HEAD" || plan.status === 204;
      const waitForTrailers = plan.hasTrailers && !endStream;
      stream.respond({ ":status": plan.status, "x-answer": String(index) }, { endStream, waitForTrailers });
      if (endStream) return;
      if (waitForTrailers)
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-trailer": String(index) }));
      if (plan.isReset)
        stream.write(Buffer.alloc(plan.downBytes >> 1), () => stream.destroy(new Error("cut")));
      else stream.end(Buffer.alloc(plan.downBytes, index % 256));
    });
  });
  return received;
}

async function run(session: ClientHttp2Session, plan: Plan, index: number): Promise<Outcome> {
  const headers: OutgoingHttpHeaders = {
    ":method": plan.method,
    ":path": plan.isRefused ? "//api" : `/healthz?n=${index}`,
    "x-index": String(index),
  };
  const stream = session.request(headers, { endStream: plan.upBytes === 0 });
  if (plan.upBytes > 0) stream.end(Buffer.alloc(plan.upBytes, index % 256));
  let status = "";
  let answer = "";
  let information = "";
  let trailer = "";
  let bytes = 0;
  let isWhole = false;
  stream.on("response", (head: IncomingHttpHeaders) => {
    status = String(head[":status"]);
    answer = String(head["x-answer"]);
  });
  stream.on("headers", (head: IncomingHttpHeaders) => {
    information += String(head[":status"]);
  });
  stream.on("trailers", (fields: IncomingHttpHeaders) => {
    trailer = String(fields["x-trailer"]);
  });
  stream.on("error", () => undefined);
  stream.on("end", () => {
    isWhole = true;
  });
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (plan.cancelAt !== undefined && bytes > plan.cancelAt) stream.close(8);
    if (!plan.isSlow) return;
    stream.pause();
    setImmediate(() => setImmediate(() => stream.resume()));
  });
  const closed = new Promise((resolve) => stream.once("close", resolve));
  await within(closed, `request ${index}: ${JSON.stringify(plan)}`);
  const seen = { status, answer, information, bytes, trailer, isWhole, code: stream.rstCode };
  // How far an answer came before somebody cut it is chance.
  if (plan.cancelAt !== undefined) return { ...seen, bytes: -1, trailer: "", isWhole: true, code: 8 };
  return plan.isReset ? { ...seen, bytes: -1 } : seen;
}

async function runAll(
  session: ClientHttp2Session,
  plans: readonly Plan[],
  random: () => number,
): Promise<Outcome[]> {
  const outcomes: Promise<Outcome>[] = [];
  for (const [index, plan] of plans.entries()) {
    outcomes.push(run(session, plan, index));
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
  }
  return Promise.all(outcomes);
}

for (const part of [0, 1, 2]) {
  test(`http2 differential: random requests end alike with and without the proxy (property, ${seedName}=${seed}, part ${part})`, async () => {
    const random = seededRandom(seed + part);
    const plans = Array.from({ length: requestsPerRun }, () => planOf(random));
    await using mesh = await Http2Harness.start();
    const receivedDirect = serve(mesh, plans);
    const straight = connect(`https://127.0.0.1:${mesh.upstream.port}`, { ca: mesh.identity.caPem });
    straight.on("error", () => undefined);
    const expected = await runAll(straight, plans, random);
    straight.destroy();
    const received = serve(mesh, plans);
    const outcomes = await runAll(await mesh.dial(), plans, random);
    for (const [index, plan] of plans.entries()) {
      const outcome = outcomes[index];
      assert.ok(outcome);
      if (plan.isRefused) {
        assert.equal(outcome.status, "400");
        assert.equal(received.has(index), false);
      } else {
        assert.deepEqual(outcome, expected[index], `request ${index}: ${JSON.stringify(plan)}`);
        assert.equal(received.get(index), receivedDirect.get(index));
      }
    }
    assert.equal(mesh.inner.counters.connectionsOpen, 1);
    const { counters } = mesh.inner;
    const { refused } = counters.requests.other;
    assert.equal(refused, plans.filter(({ isRefused }) => isRefused).length);
    await eventually(() => mesh.inner.proxy.requestsOnOlderView === 0, "nothing left");
  });
}
