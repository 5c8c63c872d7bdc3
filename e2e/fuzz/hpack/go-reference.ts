import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { BlocksInput, BlocksReading, Field, FramesInput, FramesReading } from "./reading.ts";

const source = fileURLToPath(new URL("../reference/hpack-go/", import.meta.url));
const mark = { refused: 0, whole: 1, streamError: 2, clean: 3, truncated: 4 } as const;

/** Why the Go reference can't run here; undefined when it can. */
export function withoutGo(): string | undefined {
  return spawnSync("go", ["version"]).status === 0
    ? undefined
    : "there is no go on the PATH; install Go 1.26 to compare with golang.org/x/net/http2";
}

/** A list for Go's encoder, and the size that it is to give its dynamic table before. */
export interface ListToEncode {
  readonly tableSize: number | undefined;
  readonly fields: readonly Field[];
}

/** golang.org/x/net in a process of its own; see `e2e/fuzz/reference/hpack-go` for its frames. */
export class GoReference implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  readonly #exited: Promise<void>;
  #received: Buffer[] = [];
  #receivedBytes = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#process = spawn(join(folder, "reference"), { stdio: ["pipe", "pipe", "inherit"] });
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

  async decode({ maxTableSize, operations }: BlocksInput): Promise<BlocksReading> {
    const parts = operations.flatMap((operation) =>
      operation.kind === "limit"
        ? [Buffer.from("L"), number(operation.octets)]
        : [Buffer.from("B"), number(operation.block.length), operation.block],
    );
    return (await this.#ask([Buffer.from("D"), number(maxTableSize), ...parts])).blocks();
  }

  async encode(lists: readonly ListToEncode[]): Promise<Buffer[]> {
    const parts = lists.flatMap(({ tableSize, fields }) => [
      ...(tableSize === undefined ? [] : [Buffer.from("M"), number(tableSize)]),
      Buffer.from("H"),
      number(fields.length),
      ...fields.flatMap(([name, value, neverIndexed]) => [
        ...text(name),
        ...text(value),
        Buffer.from([neverIndexed ? 1 : 0]),
      ]),
    ]);
    const answer = await this.#ask([Buffer.from("E"), ...parts]);
    return lists.map(() => answer.slice());
  }

  async readFrames({ maxFrameSize, bytes }: FramesInput): Promise<FramesReading> {
    return (await this.#ask([Buffer.from("F"), number(maxFrameSize), bytes])).frames();
  }

  #ask(parts: readonly Buffer[]): Promise<Answer> {
    const question = Buffer.concat(parts);
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#process.stdin.write(Buffer.concat([number(question.length), question]));
    return answer;
  }

  #receive(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.length;
    const all = Buffer.concat(this.#received, this.#receivedBytes);
    let at = 0;
    while (at + 4 <= all.length) {
      const end = at + 4 + all.readUInt32BE(at);
      if (end > all.length) break;
      this.#waiting.shift()?.resolve(new Answer(all.subarray(at + 4, end)));
      at = end;
    }
    this.#received = [all.subarray(at)];
    this.#receivedBytes = all.length - at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#exited;
    rmSync(this.#folder, { recursive: true });
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const text = (value: string): Buffer[] => [number(value.length), Buffer.from(value, "latin1")];

class Answer {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  blocks(): BlocksReading {
    const lists: Field[][] = [];
    while (this.#at < this.#bytes.length) {
      if (this.#number(1) === mark.refused) return { lists, refusal: this.#text() };
      lists.push(Array.from({ length: this.#number(4) }, () => this.#field()));
    }
    return { lists, refusal: undefined };
  }

  #field(): Field {
    return [this.#text(), this.#text(), this.#number(1) === 1];
  }

  frames(): FramesReading {
    const frames: string[] = [];
    for (;;) {
      const kind = this.#number(1);
      if (kind === mark.clean) return { frames, end: "clean", refusal: undefined };
      if (kind === mark.truncated) return { frames, end: "truncated", refusal: undefined };
      if (kind === mark.refused) return { frames, end: "refused", refusal: this.#text() };
      const header = `${this.#number(4)} ${this.#number(1)} ${this.#number(1)} ${this.#number(4)}`;
      // What Go holds against one stream only is a refusal as well: the connection has to do something about it.
      if (kind === mark.streamError) return { frames, end: "refused", refusal: this.#text() };
      frames.push(`${header} ${this.#number(4)} ${this.#number(4)}`);
    }
  }

  slice(): Buffer {
    const length = this.#number(4);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #text(): string {
    return this.slice().toString("latin1");
  }

  #number(octets: 1 | 4): number {
    const value = this.#bytes.readUIntBE(this.#at, octets);
    this.#at += octets;
    return value;
  }
}
