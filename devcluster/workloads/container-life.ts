import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Clock } from "#runtime/clock";

/** How to start a container once. */
export interface ContainerCommand {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
}

export type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: TerminatedState };

export interface TerminatedState {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason: string;
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** A container that ran at least this long starts again without delay. */
const healthyAfterMs = 5_000;
const firstRestartDelayMs = 50;
const defaultMaxRestartDelayMs = 5_000;

/** One container of one pod: a child process, started again as its restart policy says. */
export class ContainerLife {
  readonly name: string;
  state: ContainerState = { waiting: { reason: "ContainerCreating" } };
  lastTermination: TerminatedState | undefined;
  restartCount = 0;
  ready = false;
  /** The startup probe has succeeded since the last start, or there is none. */
  started = false;

  readonly #command: () => Promise<ContainerCommand>;
  readonly #restartPolicy: "Always" | "OnFailure" | "Never";
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #maxRestartDelayMs: number;
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #quickFailures = 0;

  constructor(facts: {
    name: string;
    command: () => Promise<ContainerCommand>;
    restartPolicy: "Always" | "OnFailure" | "Never";
    clock: Clock;
    changed: () => void;
    /** Longest pause before a restart of a container that keeps ending early. Default 5 s. */
    maxRestartDelayMs?: number | undefined;
  }) {
    this.name = facts.name;
    this.#command = facts.command;
    this.#restartPolicy = facts.restartPolicy;
    this.#clock = facts.clock;
    this.#changed = facts.changed;
    this.#maxRestartDelayMs = facts.maxRestartDelayMs ?? defaultMaxRestartDelayMs;
  }

  get isRunning(): boolean {
    return "running" in this.state;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Aborts when this container is told to stop for good. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Runs until the policy says that the container is done; resolves with its last exit code. */
  async run(): Promise<number> {
    for (;;) {
      const exitCode = await this.#runOnce();
      const again =
        this.#restartPolicy === "Always" || (this.#restartPolicy === "OnFailure" && exitCode !== 0);
      if (!again || this.#stopping.signal.aborted) return exitCode;
      await this.#pauseBeforeRestart();
      if (this.#stopping.signal.aborted) return exitCode;
      this.restartCount++;
    }
  }

  /** Sends a signal to the process, if there is one. */
  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** SIGTERM, and SIGKILL after the grace period; no restart. Resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (child === undefined) return;
    const gone = once(child, "exit");
    using _deadline = this.#clock.timer(graceMs, () => child.kill("SIGKILL"));
    child.kill("SIGTERM");
    await gone;
  }

  async #runOnce(): Promise<number> {
    const startedAt = new Date(this.#clock.now()).toISOString();
    const startedMs = this.#clock.monotonicMs();
    const { exitCode, signal, message } = await this.#spawn(startedAt);
    const ranMs = this.#clock.monotonicMs() - startedMs;
    this.#quickFailures = ranMs >= healthyAfterMs ? 0 : this.#quickFailures + 1;
    this.ready = false;
    this.started = false;
    this.lastTermination = {
      exitCode,
      ...(signal === undefined ? {} : { signal }),
      reason: message ?? (exitCode === 0 ? "Completed" : "Error"),
      startedAt,
      finishedAt: new Date(this.#clock.now()).toISOString(),
    };
    this.state = { terminated: this.lastTermination };
    this.#changed();
    return exitCode;
  }

  async #spawn(startedAt: string): Promise<{ exitCode: number; signal?: number; message?: string }> {
    let command: ContainerCommand;
    try {
      command = await this.#command();
    } catch (error) {
      return { exitCode: 128, message: error instanceof Error ? error.message : String(error) };
    }
    if (this.#stopping.signal.aborted) return { exitCode: 0 };
    const [program = "", ...args] = command.argv;
    const log = createWriteStream(command.logFile, { flags: "a" });
    const child = spawn(program, args, {
      env: { ...command.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    try {
      const ended = exitOf(child);
      if (child.pid !== undefined) {
        this.state = { running: { startedAt } };
        this.#changed();
      }
      return await ended;
    } finally {
      this.#child = undefined;
      log.end();
    }
  }

  async #pauseBeforeRestart(): Promise<void> {
    if (this.#quickFailures <= 1) return;
    const delayMs = Math.min(firstRestartDelayMs * 2 ** (this.#quickFailures - 1), this.#maxRestartDelayMs);
    this.state = { waiting: { reason: "CrashLoopBackOff", message: `starts again in ${delayMs} ms` } };
    this.#changed();
    // Ends early when the container is stopped; the caller looks at the signal.
    await this.#clock.sleep(delayMs, this.#stopping.signal).catch(() => undefined);
  }
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGTERM: 15,
  SIGKILL: 9,
  SIGINT: 2,
  SIGSEGV: 11,
  SIGABRT: 6,
};

function exitOf(child: ChildProcess): Promise<{ exitCode: number; signal?: number; message?: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ exitCode: 127, message: error.message }));
    child.once("close", (code, name) => {
      if (name === null) return resolve({ exitCode: code ?? 0 });
      const signal = signalNumbers[name] ?? 1;
      resolve({ exitCode: 128 + signal, signal });
    });
  });
}
