import { createRequire } from "node:module";
import type { Asked, Message, Reading, Stream } from "./reading.ts";

/**
 * llhttp as Node ships it, strict, without what node:http puts on top: the binding that node:http itself uses.
 * It is driven directly because a server on sockets tells neither where a message ends nor why it was refused.
 */
interface HttpParser {
  initialize(type: number, owner: object, headLimitBytes: number, leniency: number): void;
  /** Bytes read, or what was wrong. */
  execute(bytes: Buffer): number | LlhttpError;
  finish(): number | LlhttpError | undefined;
  /** Frees what native code holds; nothing else does. */
  close(): void;
  [callback: number]: (...args: never) => unknown;
}

type LlhttpError = Error & { readonly code: string; readonly reason: string };

interface HttpParserClass {
  new (): HttpParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
  readonly kLenientNone: number;
}

const { HTTPParser, methods } = createRequire(import.meta.url)("node:_http_common") as {
  HTTPParser: HttpParserClass;
  methods: readonly string[];
};

/** Above ours and Go's, so that only those two decide about length. */
const headLimitBytes = 4 << 20;
/** What the callback for a head answers. */
const goOn = 0;
const skipBody = 1;
const switchProtocols = 2;

interface Head {
  readonly headers: readonly string[];
  readonly method: string;
  readonly target: string;
  readonly status: number;
  /** Of the version. */
  readonly minor: number;
  readonly keepsAlive: boolean;
}

/** Reads a stream with llhttp. */
export function readWithLlhttp(stream: Stream): Reading {
  const asked = stream.kind === "responses" ? stream.asked : undefined;
  const parser = new HTTPParser();
  try {
    return readWith(parser, stream, asked);
  } finally {
    parser.close();
  }
}

function readWith(parser: HttpParser, stream: Stream, asked: readonly Asked[] | undefined): Reading {
  const collector = new Collector(asked);
  const type = asked === undefined ? HTTPParser.REQUEST : HTTPParser.RESPONSE;
  parser.initialize(type, {}, headLimitBytes, HTTPParser.kLenientNone);
  let spilled: string[] = [];
  let spilledUrl = "";
  parser[HTTPParser.kOnHeaders] = (headers: string[], url: string) => {
    spilled.push(...headers);
    spilledUrl += url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    minor: number,
    headers: string[] | undefined,
    method: number,
    url: string | undefined,
    status: number,
    _reason: string,
    _upgrade: boolean,
    keepsAlive: boolean,
  ) => {
    const head = {
      headers: headers ?? spilled,
      method: asked === undefined ? (methods[method] ?? "") : "",
      target: url ?? spilledUrl,
      status: status ?? 0,
      minor,
      keepsAlive,
    };
    spilled = [];
    spilledUrl = "";
    return collector.head(head);
  };
  parser[HTTPParser.kOnBody] = (bytes: Buffer) => collector.body(bytes);
  parser[HTTPParser.kOnMessageComplete] = () => {
    // Trailers come as spilled headers do, with the target once more.
    spilled = [];
    spilledUrl = "";
    collector.complete();
  };
  // It stops behind a request for an upgrade; as long as nobody has switched, HTTP goes on there.
  for (let at = 0; at < stream.bytes.length && !collector.isOver; ) {
    const read = parser.execute(stream.bytes.subarray(at));
    if (typeof read !== "number") return collector.refused(read);
    // Behind an upgrade the binding swallows errors.
    if (read === 0)
      return collector.refused({ code: "HPE_PAUSED_UPGRADE", reason: "an error behind an upgrade" });
    at += read;
  }
  if (collector.isOver) return collector.reading("closed", "");
  const finished = parser.finish();
  if (finished instanceof Error) return collector.cutOff();
  // The end of the bytes may have been the end of a body.
  return collector.reading(collector.isOver ? "closed" : "clean", "");
}

class Collector {
  readonly #asked: readonly Asked[] | undefined;
  readonly #messages: { -readonly [Key in keyof Message]: Message[Key] }[] = [];
  #body: Buffer[] = [];
  #isInBody = false;
  /** What comes from here on belongs to no message. */
  isOver = false;

  constructor(asked: readonly Asked[] | undefined) {
    this.#asked = asked;
  }

  head(head: Head): number {
    if (this.isOver) return goOn;
    const isInformational = head.status >= 100 && head.status < 200 && head.status !== 101;
    if (isInformational) return skipBody;
    const asked = this.#asked?.[this.#messages.length];
    if (this.#asked !== undefined && asked === undefined) {
      this.isOver = true;
      return goOn;
    }
    const { headers } = head;
    this.#messages.push({
      method: head.method,
      target: head.target,
      status: head.status,
      accept: this.#asked === undefined ? valuesOf(headers, "accept")[0] : undefined,
      upgrade: this.#asked === undefined ? upgradeOf(headers) : undefined,
      hasAuthorization: this.#asked === undefined && valuesOf(headers, "authorization").length > 0,
      expectsContinue:
        this.#asked === undefined &&
        valuesOf(headers, "expect").some((value) => value.toLowerCase() === "100-continue"),
      // It asks before it knows that the answer to HEAD has no body, so for that one the headers decide.
      closes: asked?.isHead ? closesByHeaders(head) : !head.keepsAlive,
      body: Buffer.alloc(0),
      bodyEnd: "partial",
    });
    this.#body = [];
    this.#isInBody = true;
    if (head.status === 101) {
      this.#finishBody("whole");
      this.isOver = true;
      return switchProtocols;
    }
    return asked?.isHead ? skipBody : goOn;
  }

  body(bytes: Buffer): void {
    if (!this.isOver) this.#body.push(Buffer.from(bytes));
  }

  complete(): void {
    if (this.isOver || !this.#isInBody) return;
    this.#finishBody("whole");
    if (this.#messages.at(-1)?.closes || this.#messages.length === this.#asked?.length) this.isOver = true;
  }

  #finishBody(end: Message["bodyEnd"]): void {
    const message = this.#messages.at(-1);
    if (message === undefined || !this.#isInBody) return;
    message.body = Buffer.concat(this.#body);
    message.bodyEnd = end;
    this.#isInBody = false;
  }

  refused(error: Pick<LlhttpError, "code" | "reason">): Reading {
    if (this.isOver) return this.reading("closed", "");
    this.#finishBody("refused");
    return this.reading("refused", `${error.code} ${error.reason}`);
  }

  /** The bytes ended inside a message. */
  cutOff(): Reading {
    if (!this.#isInBody) return this.reading("partial", "");
    this.#finishBody("partial");
    return this.reading("clean", "");
  }

  reading(end: Reading["end"], reason: string): Reading {
    return { messages: this.#messages, end, reason };
  }
}

function valuesOf(headers: readonly string[], lower: string): string[] {
  return headers.filter((_, index) => index % 2 === 1 && (headers[index - 1] ?? "").toLowerCase() === lower);
}

function connectionHas(headers: readonly string[], option: string): boolean {
  const members = valuesOf(headers, "connection").join(",").toLowerCase().split(",");
  return members.some((member) => member.replace(/^[ \t]+|[ \t]+$/g, "") === option);
}

function closesByHeaders({ headers, minor }: Head): boolean {
  return connectionHas(headers, "close") || (minor === 0 && !connectionHas(headers, "keep-alive"));
}

function upgradeOf(headers: readonly string[]): string | undefined {
  const values = valuesOf(headers, "upgrade");
  return values.length > 0 && connectionHas(headers, "upgrade") ? values.join(",") : undefined;
}
