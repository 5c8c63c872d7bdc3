import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { defaultInitialWindowSize, ErrorCode, Flag, FrameType, Setting } from "../../http2/constants.ts";
import { rstStreamFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import {
  dataFrame,
  type FramePeer,
  headersFrame,
  RawFrames,
  requestFrame,
  type SeenFrame,
} from "./raw-frames.ts";
import { seededRandom } from "./seeded-random.ts";

/**
 * Random answers of the API server, refusals of the proxy, cancels and window updates on one connection, between two
 * ends that keep to the windows that they were told of: never is a window overrun, never does anything stand still,
 * and every octet arrives in its place.
 */

const seedName = "CTRLMESH_TEST_SEED";
const seed = Number(process.env[seedName] ?? Date.now() % 1_000_000_007);
const runs = 12;
const answersPerRun = 40;
const refusedPath = "//api";

/** Answers with as many octets as `x-size` asks for, as fast as the windows that it knows of allow. */
class Answering {
  readonly #peer: FramePeer;
  readonly #random: () => number;
  readonly #maxFrame: number;
  readonly #left = new Map<number, { octets: number; window: number }>();
  readonly #initial: number;
  #window = defaultInitialWindowSize;

  constructor(
    peer: FramePeer,
    random: () => number,
    facts: { readonly initial: number; readonly maxFrame: number },
  ) {
    this.#peer = peer;
    this.#random = random;
    this.#initial = facts.initial;
    this.#maxFrame = facts.maxFrame;
    peer.onFrame = (frame) => this.#frame(frame);
  }

  #frame({ type, streamId, payload, fields }: SeenFrame): void {
    if (type === FrameType.HEADERS) {
      this.#left.set(streamId, { octets: Number(fields?.["x-size"]), window: this.#initial });
      this.#peer.send(headersFrame(streamId, { ":status": "200" }));
    } else if (type === FrameType.RST_STREAM) this.#left.delete(streamId);
    else if (type === FrameType.WINDOW_UPDATE) {
      const stream = this.#left.get(streamId);
      if (streamId === 0) this.#window += payload.readUInt32BE(0);
      else if (stream !== undefined) stream.window += payload.readUInt32BE(0);
    }
    this.#answer();
  }

  #answer(): void {
    for (const [streamId, stream] of this.#left) {
      while (this.#random() < 0.9) {
        const limit = 1 + Math.floor(this.#random() * this.#maxFrame);
        const octets = Math.min(stream.octets, stream.window, this.#window, limit);
        if (octets === 0 && stream.octets > 0) break;
        stream.octets -= octets;
        stream.window -= octets;
        this.#window -= octets;
        const frame = dataFrame(streamId, Buffer.alloc(octets, 97 + (streamId % 26)), stream.octets === 0);
        const cut = Math.floor(this.#random() * frame.length);
        this.#peer.send(frame.subarray(0, cut));
        this.#peer.send(frame.subarray(cut));
        if (stream.octets > 0) continue;
        this.#left.delete(streamId);
        break;
      }
    }
  }

  /** Goes on with what randomness left alone. */
  get isDone(): boolean {
    this.#answer();
    return this.#left.size === 0;
  }
}

/** Reads at its own pace and gives a window back only when enough of it is used up. */
class Asking {
  readonly #peer: FramePeer;
  readonly #random: () => number;
  readonly #initial: number;
  /** Octets that a receiver may keep to itself before it gives them back, of a window. */
  readonly #threshold: number;
  readonly streams = new Map<
    number,
    { window: number; used: number; got: number; readonly size: number; status: string }
  >();
  readonly cancelled = new Set<number>();
  #window = defaultInitialWindowSize;
  #used = 0;
  problem: string | undefined;

  constructor(
    peer: FramePeer,
    random: () => number,
    facts: { readonly initial: number; readonly threshold: number },
  ) {
    this.#peer = peer;
    this.#random = random;
    this.#initial = facts.initial;
    this.#threshold = facts.threshold;
    peer.onFrame = (frame) => this.#frame(frame);
  }

  ask(streamId: number): void {
    const isRefused = this.#random() < 0.4;
    const size = isRefused ? 0 : Math.floor(this.#random() ** 3 * 150_000);
    this.streams.set(streamId, { window: this.#initial, used: 0, got: 0, size, status: "" });
    this.#peer.send(
      requestFrame(streamId, isRefused ? { ":path": refusedPath } : { "x-size": String(size) }),
    );
  }

  cancel(streamId: number): void {
    if (!this.streams.delete(streamId)) return;
    this.cancelled.add(streamId);
    this.#peer.send(rstStreamFrame(streamId, ErrorCode.CANCEL));
  }

  #frame({ type, streamId, payload, flags, fields }: SeenFrame): void {
    const stream = this.streams.get(streamId);
    if (type === FrameType.HEADERS && stream !== undefined) stream.status = fields?.[":status"] ?? "";
    if (type === FrameType.GOAWAY || type === FrameType.RST_STREAM)
      this.problem ??= `unexpected end on ${streamId}`;
    if (type === FrameType.DATA) this.#data(streamId, payload);
    if (stream === undefined || (flags & Flag.END_STREAM) === 0 || type === FrameType.WINDOW_UPDATE) return;
    if (stream.status === "200" && stream.got !== stream.size)
      this.problem ??= `${stream.got} of ${stream.size} octets`;
    this.streams.delete(streamId);
  }

  #data(streamId: number, payload: Buffer): void {
    this.#window -= payload.length;
    this.#used += payload.length;
    if (this.#window < 0) this.problem ??= `the connection's window is overrun by ${-this.#window}`;
    const stream = this.streams.get(streamId);
    if (stream !== undefined) {
      stream.got += payload.length;
      stream.window -= payload.length;
      stream.used += payload.length;
      if (stream.window < 0) this.problem ??= `the window of ${streamId} is overrun by ${-stream.window}`;
      if (stream.used >= this.#threshold * this.#initial) {
        this.#peer.send(windowUpdateFrame(streamId, stream.used));
        stream.window += stream.used;
        stream.used = 0;
      }
    }
    if (this.#used < this.#threshold * defaultInitialWindowSize) return;
    this.#peer.send(windowUpdateFrame(0, this.#used));
    this.#window += this.#used;
    this.#used = 0;
  }
}

for (let run = 0; run < runs; run++) {
  test(`http2 flow: no order of answers, refusals, cancels and updates overruns a window or stands still (property, ${seedName}=${seed}, run ${run})`, async () => {
    const random = seededRandom(seed + run);
    await using mesh = await RawFrames.start({ clock: new FakeClock() });
    const initial = random() < 0.5 ? defaultInitialWindowSize : 1_000 + Math.floor(random() * 20_000);
    const maxFrame = random() < 0.5 ? 16_384 : 1 << 20;
    const { client, upstream } = await mesh.connect({
      clientSettings: [
        [Setting.INITIAL_WINDOW_SIZE, initial],
        [Setting.MAX_FRAME_SIZE, maxFrame],
      ],
    });
    const answering = new Answering(upstream, random, { initial, maxFrame });
    const asking = new Asking(client, random, { initial, threshold: random() < 0.5 ? 0.5 : 1 });
    for (let index = 0; index < answersPerRun; index++) {
      asking.ask(2 * index + 1);
      if (random() < 0.15) asking.cancel(1 + 2 * Math.floor(random() * index));
      if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve));
    }
    const isOver = () => asking.problem !== undefined || (answering.isDone && asking.streams.size === 0);
    await eventually(isOver, "every answer").catch((error: unknown) => {
      const left = [...asking.streams].map(([streamId, stream]) => `${streamId}: ${JSON.stringify(stream)}`);
      throw new Error(`${String(error)}: ${left.join("; ")}`);
    });
    assert.equal(asking.problem, undefined);
    assert.equal(mesh.inner.proxy.requestsOnOlderView, 0);
  });
}
