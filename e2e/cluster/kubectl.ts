import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { text } from "node:stream/consumers";
import { CtrlmeshError } from "#api/errors";
import { kubernetesBinary, kubernetesVersion } from "./versions.ts";

export interface KubectlOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A built kubectl with one kubeconfig; nothing of the user's own configuration is read. */
export interface Kubectl {
  readonly version: string;
  /** Runs to the end, whatever the exit code. `stdin` is for `-f -`. */
  run(args: readonly string[], stdin?: string): Promise<KubectlOutput>;
  /**
   * Standard output of a call that must succeed.
   *
   * @throws CHILD_PROCESS_FAILED with what kubectl said
   */
  ok(args: readonly string[], stdin?: string): Promise<string>;
  /** Starts a call that goes on: `get --watch`, `logs --follow`. */
  follow(args: readonly string[]): FollowedKubectl;
  /** The same, parsed from `-o json`. */
  json(args: readonly string[], stdin?: string): Promise<unknown>;
}

/** A running kubectl; disposing it kills the process. */
export interface FollowedKubectl extends AsyncDisposable {
  /** All that it has printed so far, standard error included. */
  readonly printed: string;
  /**
   * Resolves as soon as what it printed matches.
   *
   * @throws TIMEOUT with what was printed instead; CHILD_PROCESS_FAILED when it ended before
   */
  until(pattern: RegExp): Promise<void>;
}

/** A call that waits for an answer longer than this is killed. */
const timeoutMs = 60_000;

export function kubectl(kubeconfig: string, version = kubernetesVersion): Kubectl {
  const start = (args: readonly string[], signal?: AbortSignal): ChildProcessWithoutNullStreams =>
    spawn(kubernetesBinary("kubectl", version), args, {
      env: {
        PATH: "/usr/bin:/bin",
        KUBECONFIG: kubeconfig,
        HOME: "/nonexistent",
        KUBECACHEDIR: `${kubeconfig}.cache-${version}`,
      },
      ...(signal === undefined ? {} : { signal }),
      killSignal: "SIGKILL",
    });
  const run = async (args: readonly string[], stdin = ""): Promise<KubectlOutput> => {
    const child = start(args, AbortSignal.timeout(timeoutMs));
    const closed = once(child, "close");
    child.stdin.on("error", () => undefined); // kubectl may end without reading all of it
    child.stdin.end(stdin);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    return { exitCode: child.exitCode ?? -1, stdout, stderr };
  };
  const ok = async (args: readonly string[], stdin?: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await run(args, stdin);
    if (exitCode === 0) return stdout;
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: `exit code ${exitCode}: ${stderr.trim()}${stdout.trim() === "" ? "" : `; ${stdout.trim()}`}`,
      where: `kubectl ${version} ${args.join(" ")}`,
    });
  };
  return {
    version,
    run,
    ok,
    follow: (args) => new Followed(start(args), `kubectl ${version} ${args.join(" ")}`),
    json: async (args, stdin) => JSON.parse(await ok([...args, "-o", "json"], stdin)),
  };
}

class Followed implements FollowedKubectl {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #where: string;
  readonly #changed = new EventEmitter();
  #printed = "";

  constructor(child: ChildProcessWithoutNullStreams, where: string) {
    this.#child = child;
    this.#where = where;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        this.#printed += chunk;
        this.#changed.emit("change");
      });
    }
    child.on("close", () => this.#changed.emit("change"));
    child.stdin.end();
  }

  get printed(): string {
    return this.#printed;
  }

  async until(pattern: RegExp): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    while (!pattern.test(this.#printed)) {
      const what = `${pattern} was not printed, but: ${this.#printed}`;
      if (this.#child.exitCode !== null)
        throw new CtrlmeshError("CHILD_PROCESS_FAILED", { what, where: this.#where });
      try {
        await once(this.#changed, "change", { signal });
      } catch (cause) {
        throw new CtrlmeshError("TIMEOUT", { what, where: this.#where, cause });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}
