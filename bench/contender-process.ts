import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { proxyCore } from "./machine.ts";

/** Short, since the time to listening is itself a figure. */
const pollMs = 1;
const startLimitMs = 20_000;

export interface Program {
  readonly argv: readonly string[];
  /** The port that it will listen on. */
  readonly port: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** CPU and wall time of a process from its start. */
export interface StartTimes {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** A proxy as a process on its own core. */
export class ContenderProcess implements AsyncDisposable {
  readonly port: number;
  /** When it accepted its first connection. */
  readonly listening: StartTimes;
  readonly #child: ChildProcess;
  readonly #startedMs: number;
  readonly #log: () => string;

  private constructor(
    child: ChildProcess,
    port: number,
    startedMs: number,
    listening: StartTimes,
    log: () => string,
  ) {
    this.#child = child;
    this.#startedMs = startedMs;
    this.#log = log;
    this.port = port;
    this.listening = listening;
  }

  /** Starts it and waits until it listens. @throws with its log when it does not come so far */
  static async start({ argv, port, cwd, env }: Program): Promise<ContenderProcess> {
    const startedMs = performance.now();
    const child = spawn("taskset", ["-c", String(proxyCore), ...argv], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        log = (log + text).slice(-4000);
      });
    }
    await once(child, "spawn");
    try {
      await waitUntil(
        () => isListening(port),
        () => {
          if (child.exitCode === null) return `it does not listen:\n${log}`;
          throw new Error(`${argv.join(" ")} ended with ${child.exitCode}:\n${log}`);
        },
      );
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    const listening = { cpuMs: cpuMsOf(child.pid ?? 0), wallMs: performance.now() - startedMs };
    return new ContenderProcess(child, port, startedMs, listening, () => log);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits for something that follows the start, and says when it came. */
  async until(isTrue: () => Promise<boolean>, what: string): Promise<StartTimes> {
    await waitUntil(isTrue, () => `${what}:\n${this.#log()}`);
    return { cpuMs: cpuMsOf(this.pid), wallMs: performance.now() - this.#startedMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

async function waitUntil(isTrue: () => Promise<boolean>, missing: () => string): Promise<void> {
  const deadlineMs = performance.now() + startLimitMs;
  while (!(await isTrue())) {
    const text = missing();
    if (performance.now() > deadlineMs) throw new Error(text);
    await delay(pollMs);
  }
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  const accepted = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  socket.destroy();
  return accepted;
}

/** Sum over the threads that run now, which the kernel counts in nanoseconds. */
function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
