import { firstCborItem } from "./cbor.ts";
import {
  type Fields,
  message,
  messages,
  numberOf,
  openEnvelope,
  readFields,
  textMap,
  textOf,
} from "./protobuf.ts";
import type { Labels } from "./view.ts";

export type Encoding = "json" | "protobuf" | "cbor";

export const acceptOf: Record<Encoding, { readonly list: string; readonly watch: string }> = {
  json: { list: "application/json", watch: "application/json" },
  protobuf: {
    list: "application/vnd.kubernetes.protobuf",
    watch: "application/vnd.kubernetes.protobuf;stream=watch",
  },
  cbor: { list: "application/cbor", watch: "application/cbor" },
};

export interface SeenObject {
  readonly path: string;
  readonly revision: number;
  readonly labels: Labels;
  readonly annotations: Labels;
}

export interface SeenStatus {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

export interface SeenList {
  readonly revision: number;
  readonly continueToken: string;
  readonly items: readonly SeenObject[];
}

export type SeenEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: SeenObject }
  | { readonly type: "ERROR"; readonly status: SeenStatus };

export function decodeList(body: Buffer, encoding: Encoding): SeenList {
  if (encoding !== "protobuf") {
    const text = encoding === "json" ? JSON.parse(body.toString("utf8")) : firstCborItem(body)?.value;
    // The API server's own list.
    const { metadata, items } = text as JsonList;
    return {
      revision: Number(metadata.resourceVersion),
      continueToken: metadata.continue ?? "",
      items: (items ?? []).map(objectFromJson),
    };
  }
  const { object } = openEnvelope(body);
  const metadata = message(object, 1);
  return {
    revision: Number(textOf(metadata, 2)),
    continueToken: textOf(metadata, 3),
    items: messages(object, 2).map(objectFromFields),
  };
}

/** An error's body: whatever the server made of it. */
export function decodeStatus(body: Buffer): SeenStatus {
  try {
    if (body.subarray(0, 4).toString("latin1") === "k8s\0")
      return statusFromFields(openEnvelope(body).object);
    if (body[0] === selfDescribedCbor) return firstCborItem(body)?.value as SeenStatus;
    return JSON.parse(body.toString("utf8"));
  } catch {
    return { code: 0, reason: "", message: body.toString("utf8").slice(0, 200) };
  }
}

/** Splits the body of a watch into events. Bytes of a half event at the end are dropped, as clients do. */
export class EventDecoder {
  readonly #encoding: Encoding;
  #rest: Buffer = Buffer.alloc(0);

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  push(bytes: Buffer): SeenEvent[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const events: SeenEvent[] = [];
    for (;;) {
      const event = this.#next();
      if (event === undefined) return events;
      events.push(event);
    }
  }

  #next(): SeenEvent | undefined {
    switch (this.#encoding) {
      case "json": {
        const line = this.#line();
        return line && eventFromJson(JSON.parse(line.toString("utf8")));
      }
      case "protobuf": {
        const frame = this.#lengthPrefixed();
        return frame && eventFromFields(readFields(frame));
      }
      case "cbor": {
        const item = firstCborItem(this.#rest);
        if (item === undefined) return undefined;
        this.#rest = this.#rest.subarray(item.end);
        return eventFromJson(item.value as JsonEvent);
      }
    }
  }

  /** Whether the body so far ends between two events. */
  get isBetweenEvents(): boolean {
    return this.#rest.length === 0;
  }

  #line(): Buffer | undefined {
    const end = this.#rest.indexOf(0x0a);
    return end < 0 ? undefined : this.#take(0, end, end + 1);
  }

  #lengthPrefixed(): Buffer | undefined {
    if (this.#rest.length < 4) return undefined;
    const end = 4 + this.#rest.readUInt32BE(0);
    return this.#rest.length < end ? undefined : this.#take(4, end, end);
  }

  #take(start: number, end: number, next: number): Buffer {
    const frame = this.#rest.subarray(start, end);
    this.#rest = this.#rest.subarray(next);
    return frame;
  }
}

function eventFromJson({ type, object }: JsonEvent): SeenEvent {
  return type === "ERROR" ? { type, status: object } : { type, object: objectFromJson(object) };
}

function eventFromFields(event: Fields): SeenEvent {
  const type = textOf(event, 1) as SeenEvent["type"];
  const raw = message(event, 2).get(1)?.[0];
  const { object } = openEnvelope(typeof raw === "object" ? raw : new Uint8Array());
  if (type === "ERROR") return { type, status: statusFromFields(object) };
  return { type, object: objectFromFields(object) };
}

/** First byte of the tag 55799 in front of each document (RFC 8949 section 3.4.6). */
const selfDescribedCbor = 0xd9;

interface JsonList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly JsonObject[] | null;
}

type JsonEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: JsonObject }
  | { readonly type: "ERROR"; readonly object: SeenStatus };

interface JsonObject {
  readonly metadata: {
    readonly namespace?: string;
    readonly name?: string;
    readonly resourceVersion: string;
    readonly labels?: Labels;
    readonly annotations?: Labels;
  };
}

function objectFromJson({ metadata }: JsonObject): SeenObject {
  const { namespace, name, resourceVersion, labels = {}, annotations = {} } = metadata;
  return { path: `${namespace}/${name}`, revision: Number(resourceVersion), labels, annotations };
}

function objectFromFields(object: Fields): SeenObject {
  const metadata = message(object, 1);
  return {
    path: `${textOf(metadata, 3)}/${textOf(metadata, 1)}`,
    revision: Number(textOf(metadata, 6)),
    labels: textMap(metadata, 11),
    annotations: textMap(metadata, 12),
  };
}

function statusFromFields(status: Fields): SeenStatus {
  return { code: numberOf(status, 6), reason: textOf(status, 4), message: textOf(status, 3) };
}
