import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Message, Reading, Stream } from "./reading.ts";

const source = fileURLToPath(new URL("../reference/http1/", import.meta.url));

const flag = {
  closes: 1,
  partial: 2,
  bodyRefused: 4,
  accept: 8,
  authorization: 16,
  expectsContinue: 32,
  upgrade: 64,
} as const;
const ends = ["clean", "partial", "refused", "closed"] as const;

/** Why the Go reference can't run here; undefined when it can. */
export function withoutGo(): string | undefined {
  return spawnSync("go", ["version"]).status === 0
    ? undefined
    : "there is no go on the PATH; install Go 1.26 to compare with net/http";
}

/** Go's net/http in a process of its own; see `e2e/fuzz/reference/http1` for its frames. */
export class GoReference implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { resolve(reading: Reading): void; reject(error: Error): void }[] = [];
  readonly #exited: Promise<void>;
  #received: Buffer = Buffer.alloc(0);

  private constructor(folder: string) {
    this.#folder = folder;
    this.#process = spawn(join(folder, "reference"), {
      stdio: ["pipe", "pipe", "inherit"],
      // The readers hand over to each other at every step, which is fastest on one thread.
      env: { ...process.env, GOMAXPROCS: "1" },
    });
    this.#exited = new Promise((resolve) => this.#process.once("close", () => resolve()));
    this.#process.stdin.on("error", () => undefined);
    this.#process.stdout.on("data", (bytes: Buffer) => this.#receive(bytes));
    this.#process.once("close", (code) => {
      const error = new Error(`the Go reference ended with ${code}`);
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
  }

  /** Compiles (about a second with Go's build cache warm) and starts it. */
  static async start(): Promise<GoReference> {
    const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-fuzz-"));
    const built = spawnSync("go", ["build", "-o", join(folder, "reference"), "."], {
      cwd: source,
      encoding: "utf8",
    });
    if (built.status !== 0) {
      rmSync(folder, { recursive: true });
      throw new Error(`the Go reference does not compile:\n${built.stderr}`);
    }
    return new GoReference(folder);
  }

  /** Reads the streams with net/http, in order. */
  read(streams: readonly Stream[]): Promise<Reading[]> {
    const readings = streams.map(
      () => new Promise<Reading>((resolve, reject) => this.#waiting.push({ resolve, reject })),
    );
    this.#process.stdin.write(Buffer.concat(streams.flatMap(questionOf)));
    return Promise.all(readings);
  }

  #receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    let at = 0;
    while (at + 4 <= this.#received.length) {
      const end = at + 4 + this.#received.readUInt32BE(at);
      if (end > this.#received.length) break;
      this.#waiting.shift()?.resolve(new AnswerReader(this.#received.subarray(at + 4, end)).read());
      at = end;
    }
    this.#received = this.#received.subarray(at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#exited;
    rmSync(this.#folder, { recursive: true });
  }
}

function questionOf(stream: Stream): Buffer[] {
  const start =
    stream.kind === "requests"
      ? Buffer.from("Q")
      : Buffer.from([83, stream.asked.length, ...stream.asked.map(({ isHead }) => (isHead ? 1 : 0))]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(start.length + stream.bytes.length);
  return [length, start, stream.bytes];
}

class AnswerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(): Reading {
    const count = this.#number(2);
    const messages = Array.from({ length: count }, () => this.#message());
    const end = ends[this.#number(1)] ?? "refused";
    const status = this.#number(2);
    return { messages, end, reason: `${status === 0 ? "" : status} ${this.#text().trim()}`.trim() };
  }

  #message(): Message {
    const method = this.#text();
    const target = this.#text();
    this.#text(); // Host: ours is only counted.
    const accept = this.#text();
    const upgrade = this.#text();
    const body = this.#slice();
    const status = this.#number(2);
    const flags = this.#number(2);
    const has = (name: keyof typeof flag): boolean => (flags & flag[name]) !== 0;
    return {
      method,
      target,
      status,
      accept: has("accept") ? accept : undefined,
      upgrade: has("upgrade") ? upgrade : undefined,
      hasAuthorization: has("authorization"),
      expectsContinue: has("expectsContinue"),
      closes: has("closes"),
      body,
      bodyEnd: has("partial") ? "partial" : has("bodyRefused") ? "refused" : "whole",
    };
  }

  #number(bytes: 1 | 2 | 4): number {
    const value = this.#bytes.readUIntBE(this.#at, bytes);
    this.#at += bytes;
    return value;
  }

  #slice(): Buffer {
    const length = this.#number(4);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #text(): string {
    return this.#slice().toString("latin1");
  }
}
