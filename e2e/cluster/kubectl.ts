import { spawn } from "node:child_process";
import { once } from "node:events";
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
  /** The same, parsed from `-o json`. */
  json(args: readonly string[], stdin?: string): Promise<unknown>;
}

/** A call that waits for an answer longer than this is killed. */
const timeoutMs = 60_000;

export function kubectl(kubeconfig: string, version = kubernetesVersion): Kubectl {
  const run = async (args: readonly string[], stdin = ""): Promise<KubectlOutput> => {
    const child = spawn(kubernetesBinary("kubectl", version), args, {
      env: { KUBECONFIG: kubeconfig, HOME: "/nonexistent", KUBECACHEDIR: `${kubeconfig}.cache-${version}` },
      signal: AbortSignal.timeout(timeoutMs),
      killSignal: "SIGKILL",
    });
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
    json: async (args, stdin) => JSON.parse(await ok([...args, "-o", "json"], stdin)),
  };
}
