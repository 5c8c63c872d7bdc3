import { spawnSync } from "node:child_process";
import type { Environment } from "#runtime/settings";
import type { IptablesBackend } from "#webhook/injection-request";
import { iptablesFailure } from "./iptables-failure.ts";
import type { Family } from "./rules.ts";

/** How long to wait for another program that holds the lock (legacy) or changes the rules at the same time. */
const lockSeconds = 30;
const commandTimeoutMs = 60_000;

/**
 * Legacy takes a file lock, in a folder that a read-only root file system does not let it write to. Every
 * container has /dev/shm.
 */
const lockFile = "/dev/shm/xtables.lock";

/** One family of one backend, through the programs of iptables. */
export class Iptables {
  readonly #family: Family;
  readonly #backend: IptablesBackend;
  readonly #env: Environment;

  constructor(family: Family, backend: IptablesBackend, env: Environment) {
    this.#family = family;
    this.#backend = backend;
    this.#env = { ...env, XTABLES_LOCKFILE: lockFile };
  }

  /** Rules of table nat as `iptables -S` prints them. @throws REDIRECT_NOT_PERMITTED, REDIRECT_FAILED */
  list(): string {
    return this.#run(this.#program, ["-t", "nat", "-S"], "");
  }

  /** Takes a transaction whole or not at all. @throws REDIRECT_NOT_PERMITTED, REDIRECT_FAILED */
  restore(transaction: string): void {
    this.#run(`${this.#program}-restore`, ["--noflush"], transaction);
  }

  get #program(): string {
    return `${this.#family === "IPv6" ? "ip6tables" : "iptables"}-${this.#backend}`;
  }

  #run(program: string, args: readonly string[], input: string): string {
    const { status, error, stdout, stderr } = spawnSync(program, ["-w", String(lockSeconds), ...args], {
      input,
      encoding: "utf8",
      timeout: commandTimeoutMs,
      env: this.#env,
    });
    if (status === 0) return stdout;
    throw iptablesFailure({ program, backend: this.#backend, stderr: stderr ?? "", cause: error });
  }
}
