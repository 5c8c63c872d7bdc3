import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { root } from "../flow/mesh.ts";

export interface CommandOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ctrlmesh` as users do, with one kubeconfig and nothing of the environment. */
export async function ctrlmesh(
  kubeconfig: string,
  args: readonly string[],
  stdin = "",
): Promise<CommandOutput> {
  const child = spawn(process.execPath, [join(root, "cli/main.ts"), ...args], {
    env: { PATH: "/usr/bin:/bin", KUBECONFIG: kubeconfig },
  });
  child.stdin.on("error", () => undefined); // it may end without reading
  child.stdin.end(stdin);
  const closed = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { exitCode: child.exitCode ?? -1, stdout, stderr };
}
