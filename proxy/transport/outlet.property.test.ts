import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import fc from "fast-check";
import { Outlet } from "./outlet.ts";
import { ReadGate } from "./read-gate.ts";
import { WriteBatch } from "./write-batch.ts";

/** Encrypts a write at once when nothing is queued, and keeps a reference until `drain` else, as a TLS socket does. */
class LazySocket extends EventEmitter {
  writable = true;
  writableLength = 0;
  isFull = false;
  readonly taken: Buffer[] = [];
  #queued: { readonly bytes: Buffer; readonly done: ((error?: Error | null) => void) | undefined }[] = [];

  write(bytes: Buffer, done?: (error?: Error | null) => void): boolean {
    if (!this.isFull) {
      this.taken.push(Buffer.from(bytes));
      done?.();
      return true;
    }
    this.#queued.push({ bytes: this.writableLength === 0 ? Buffer.from(bytes) : bytes, done });
    this.writableLength += bytes.length;
    return false;
  }

  drain(): void {
    const queued = this.#queued;
    this.#queued = [];
    this.writableLength = 0;
    for (const { bytes, done } of queued) {
      this.taken.push(Buffer.from(bytes));
      done?.();
    }
    this.isFull = false;
  }
}

/** Flushes when it is told to, so that turns end where the test wants. */
class HeldBatch extends WriteBatch {
  readonly #due: { flush(): void }[] = [];

  override schedule(outlet: { flush(): void }): void {
    this.#due.push(outlet);
  }

  endTurn(): void {
    for (const outlet of this.#due.splice(0)) outlet.flush();
  }
}

/** What is done with the next bytes of a read. */
type Piece =
  | { readonly kind: "pass" | "drop"; readonly share: number }
  /** Bytes of the read, as many of ours in their stead: the header of a frame. */
  | { readonly kind: "replace"; readonly count: number }
  | { readonly kind: "insert"; readonly count: number };

type Step =
  | {
      readonly kind: "read";
      readonly outlet: number;
      readonly length: number;
      readonly pieces: readonly Piece[];
    }
  | { readonly kind: "insert"; readonly outlet: number; readonly count: number }
  | { readonly kind: "leave" | "fill" | "drain"; readonly outlet: number }
  | { readonly kind: "end turn" };

const outlets = 6;
const outlet = fc.nat(outlets - 1);
const share = fc.double({ min: 0, max: 1, noNaN: true });
const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass" as const), share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), share }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("replace" as const), count: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      count: fc.integer({ min: 1, max: 70_000 }),
    }),
  },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("read" as const),
      outlet,
      length: fc.oneof(fc.integer({ min: 1, max: 16_384 }), fc.constant(16_384)),
      pieces: fc.array(piece, { maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      outlet,
      count: fc.integer({ min: 1, max: 300_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("leave" as const, "fill" as const, "drain" as const),
      outlet,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("end turn" as const) }) },
);

/** One connection: an outlet, what the other side reads into, and what has to come out. */
class Lane {
  readonly socket = new LazySocket();
  readonly #outlet: Outlet;
  readonly #shared = Buffer.alloc(64 * 1024);
  readonly #expected: Buffer[] = [];
  readonly #bytes: () => number;
  #readBuffer: Buffer = this.#shared;
  landedReads = 0;

  constructor(batch: WriteBatch, bytes: () => number) {
    const gate = new ReadGate({ pause: () => undefined, resume: () => undefined });
    // The outlet uses what the class above has.
    this.#outlet = new Outlet(this.socket as unknown as TLSSocket, batch, gate, true);
    this.#bytes = bytes;
  }

  insert(count: number): void {
    const inserted = this.#fill(Buffer.alloc(count));
    this.#expected.push(inserted);
    this.#outlet.put(Buffer.from(inserted), 0, count);
  }

  read(length: number, pieces: readonly Piece[]): void {
    const into = this.#readBuffer;
    const count = Math.min(length, into.length);
    const came = Buffer.from(this.#fill(into.subarray(0, count)));
    if (into !== this.#shared) this.landedReads++;
    this.#outlet.beginRead(into);
    let at = 0;
    for (const next of pieces) at = this.#handle(next, into, came, at);
    this.#pass(into, came, at, count);
    this.#outlet.endRead();
    this.#readBuffer = this.#outlet.landing(count) ?? this.#shared;
  }

  /** The other side is gone. */
  leave(): void {
    this.#outlet.leaveLanding();
    this.#readBuffer = this.#shared;
  }

  check(): void {
    this.#outlet.flush();
    this.socket.drain();
    const expected = Buffer.concat(this.#expected);
    assert.ok(expected.equals(Buffer.concat(this.socket.taken)), "other bytes came out than were put in");
  }

  #handle(next: Piece, into: Buffer, came: Buffer, at: number): number {
    if (next.kind === "insert") {
      this.insert(next.count);
      return at;
    }
    const count =
      next.kind === "replace"
        ? Math.min(next.count, came.length - at)
        : Math.floor(next.share * (came.length - at));
    if (next.kind === "pass") this.#pass(into, came, at, at + count);
    else if (next.kind === "replace") {
      this.#outlet.consumedTo(at + count);
      this.insert(count);
    }
    return at + count;
  }

  #pass(into: Buffer, came: Buffer, start: number, end: number): void {
    this.#expected.push(came.subarray(start, end));
    this.#outlet.put(into, start, end);
  }

  #fill(bytes: Buffer): Buffer {
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.#bytes();
    return bytes;
  }
}

test("Outlet: what comes out is what was put, however reads land, turns end and sockets fill", () => {
  let landedReads = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 80 }), (steps) => {
      const batch = new HeldBatch();
      let value = 0;
      const lanes = Array.from(
        { length: outlets },
        () => new Lane(batch, () => (value = (value * 5 + 113) % 251)),
      );
      for (const taken of steps) {
        if (taken.kind === "end turn") {
          batch.endTurn();
          continue;
        }
        const lane = lanes[taken.outlet];
        if (lane === undefined) continue;
        if (taken.kind === "read") lane.read(taken.length, taken.pieces);
        else if (taken.kind === "insert") lane.insert(taken.count);
        else if (taken.kind === "leave") lane.leave();
        else if (taken.kind === "fill") lane.socket.isFull = true;
        else lane.socket.drain();
      }
      batch.endTurn();
      for (const lane of lanes) {
        lane.check();
        landedReads += lane.landedReads;
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(landedReads > 100, `only ${landedReads} reads went to where they were gathered`);
});
