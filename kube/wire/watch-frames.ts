import { cborEnvelope, cborString } from "./cbor.ts";
import type { Encoding } from "./media-type.ts";
import { protobufMessage } from "./protobuf-envelope.ts";
import { encodeStatus, type KubernetesStatus } from "./status.ts";

/**
 * Follows the events in the body of a watch without decoding them, to know where one of ours may stand between
 * two of the server's. The body's bytes are pushed in order, split anywhere.
 */
export class WatchFrames {
  readonly #boundary: Boundary;

  constructor(encoding: Encoding) {
    this.#boundary = boundaryOf(encoding);
  }

  /** Takes the body's next bytes: `bytes` from `start` up to, not with, `end`. */
  push(bytes: Uint8Array, start: number, end: number): void {
    if (end > start) this.#boundary.push(bytes, start, end);
  }

  /**
   * Whether all bytes so far are whole events; true before the first. False for ever once the bytes make no
   * sense: then nothing may be put into the stream.
   */
  get atBoundary(): boolean {
    return this.#boundary.isReached;
  }
}

/** One complete ERROR event, byte for byte as the API server frames it. */
export function encodeWatchError(status: KubernetesStatus, encoding: Encoding): Uint8Array {
  const object = encodeStatus(status, encoding);
  switch (encoding) {
    case "json":
      // The object's own newline ends the event, behind the brace.
      return Buffer.concat([jsonEventStart, object.subarray(0, -1), jsonEventEnd]);
    case "protobuf": {
      const event = protobufMessage([
        [1, "ERROR"],
        [2, protobufMessage([[1, object]])],
      ]);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(event.length);
      return Buffer.concat([length, event]);
    }
    case "cbor":
      return cborEnvelope({ type: cborString("ERROR"), object });
  }
}

const jsonEventStart = Buffer.from('{"type":"ERROR","object":');
const jsonEventEnd = Buffer.from("}\n");

interface Boundary {
  readonly isReached: boolean;
  push(bytes: Uint8Array, start: number, end: number): void;
}

function boundaryOf(encoding: Encoding): Boundary {
  switch (encoding) {
    case "json":
      return new JsonLines();
    case "protobuf":
      return new LengthPrefixed();
    case "cbor":
      return new CborSequence();
  }
}

/** Strings in JSON hold no raw newline, so each one ends an event. */
class JsonLines implements Boundary {
  isReached = true;

  push(bytes: Uint8Array, _start: number, end: number): void {
    this.isReached = bytes[end - 1] === 0x0a;
  }
}

/** Four bytes of length, big-endian, then so many bytes (apimachinery `pkg/util/framer`). */
class LengthPrefixed implements Boundary {
  #prefixBytes = 0;
  #length = 0;
  #rest = 0;

  get isReached(): boolean {
    return this.#prefixBytes === 0 && this.#rest === 0;
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#rest > 0) {
        const skipped = Math.min(this.#rest, end - at);
        this.#rest -= skipped;
        at += skipped;
        continue;
      }
      this.#length = this.#length * 256 + (bytes[at++] ?? 0);
      if (++this.#prefixBytes < 4) continue;
      this.#rest = this.#length;
      this.#length = 0;
      this.#prefixBytes = 0;
    }
  }
}

const indefinite = -1;
/** Kubernetes itself refuses objects nested deeper than 64. */
const depthLimit = 256;

/** A sequence of CBOR items (RFC 8742), walked head by head. */
class CborSequence implements Boundary {
  /** Items still to come in each open array or map, outermost first. */
  readonly #open: number[] = [];
  #major = 0;
  /** Bytes still to come of the argument behind an initial byte. */
  #argumentBytes = 0;
  #argument = 0;
  /** Bytes still to come of a string. */
  #rest = 0;
  /** A tag is not an item: the one that it tags still has to come. */
  #isTagged = false;
  #isBroken = false;

  get isReached(): boolean {
    return (
      this.#open.length === 0 &&
      this.#argumentBytes === 0 &&
      this.#rest === 0 &&
      !this.#isTagged &&
      !this.#isBroken
    );
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end && !this.#isBroken; ) {
      if (this.#rest > 0) {
        const skipped = Math.min(this.#rest, end - at);
        this.#rest -= skipped;
        at += skipped;
        if (this.#rest === 0) this.#endItem();
        continue;
      }
      const byte = bytes[at++] ?? 0;
      if (this.#argumentBytes > 0) {
        this.#argument = this.#argument * 256 + byte;
        if (--this.#argumentBytes === 0) this.#headRead();
      } else this.#initialByte(byte);
    }
  }

  #initialByte(byte: number): void {
    this.#isTagged = false;
    this.#major = byte >> 5;
    const additional = byte & 0x1f;
    if (additional < 24) {
      this.#argument = additional;
      this.#headRead();
    } else if (additional < 28) {
      this.#argument = 0;
      this.#argumentBytes = 1 << (additional - 24);
    } else if (additional === 31) this.#indefiniteOrBreak();
    else this.#isBroken = true;
  }

  #headRead(): void {
    switch (this.#major) {
      case 2:
      case 3:
        if (this.#argument > 0) this.#rest = this.#argument;
        else this.#endItem();
        return;
      case 4:
        this.#openContainer(this.#argument);
        return;
      case 5:
        this.#openContainer(this.#argument * 2);
        return;
      case 6:
        this.#isTagged = true;
        return;
      default:
        this.#endItem();
    }
  }

  #indefiniteOrBreak(): void {
    if (this.#major === 7) {
      if (this.#open.pop() === indefinite) this.#endItem();
      else this.#isBroken = true;
    } else if (this.#major >= 2 && this.#major <= 5) this.#openContainer(indefinite);
    else this.#isBroken = true;
  }

  #openContainer(items: number): void {
    if (items === 0) this.#endItem();
    else if (this.#open.length >= depthLimit) this.#isBroken = true;
    else this.#open.push(items);
  }

  /** One item is complete, and with it every container whose last one it was. */
  #endItem(): void {
    for (;;) {
      const rest = this.#open.pop();
      if (rest === undefined) return;
      if (rest === indefinite) this.#open.push(indefinite);
      else if (rest > 1) this.#open.push(rest - 1);
      else continue;
      return;
    }
  }
}
