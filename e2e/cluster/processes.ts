import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** What a graceful end may take before the process is killed. */
const graceMs = 20_000;

/** Named child processes, each with a log file. */
export class Processes {
  readonly #logs: string;
  readonly #running = new Map<string, ChildProcess>();

  constructor(logs: string) {
    this.#logs = logs;
    mkdirSync(logs, { recursive: true });
    process.once("exit", this.#killAll);
  }

  /** When this process ends without `stopAll`, by an error that nobody catches say, nothing is left behind. */
  readonly #killAll = (): void => {
    for (const child of this.#running.values()) child.kill("SIGKILL");
  };

  start(name: string, binary: string, args: readonly string[]): void {
    const log = openSync(join(this.#logs, `${name}.log`), "a");
    const child = spawn(binary, args, { stdio: ["ignore", log, log] });
    closeSync(log);
    child.on("error", () => this.#running.delete(name));
    child.on("exit", () => {
      if (this.#running.get(name) === child) this.#running.delete(name);
    });
    this.#running.set(name, child);
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  /** Undefined when it does not run. */
  pidOf(name: string): number | undefined {
    return this.#running.get(name)?.pid;
  }

  /** Process ids of what runs now. */
  pids(): number[] {
    return [...this.#running.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  logOf(name: string): string {
    return readFileSync(join(this.#logs, `${name}.log`), "utf8");
  }

  /** Ends one and waits for it; SIGTERM becomes SIGKILL after 20 s. */
  async stop(name: string, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    const gone = once(child, "exit");
    const deadline = setTimeout(() => child.kill("SIGKILL"), graceMs);
    child.kill(signal);
    await gone;
    clearTimeout(deadline);
  }

  /** Kills all, in the reverse order of their start. */
  async stopAll(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.stop(name);
    process.off("exit", this.#killAll);
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
