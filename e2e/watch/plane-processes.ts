import { readFileSync } from "node:fs";
import type { ControlPlane } from "../cluster/control-plane.ts";

/** Client URL of the control plane's etcd. */
export function etcdUrlOf(plane: ControlPlane): string {
  return argumentOf(processWith(plane, "--listen-client-urls="), "--listen-client-urls=");
}

/** Process id of a kube-apiserver, to stop and continue it. */
export function apiServerPid(plane: ControlPlane, index: number): number {
  return processWith(plane, `--secure-port=${new URL(plane.urls[index] ?? "").port}`);
}

function processWith(plane: ControlPlane, argument: string): number {
  const pid = plane
    .pids()
    .find((candidate) => argumentsOf(candidate).some((text) => text.startsWith(argument)));
  if (pid === undefined) throw new Error(`no process of the control plane has ${argument}`);
  return pid;
}

function argumentOf(pid: number, prefix: string): string {
  return (
    argumentsOf(pid)
      .find((text) => text.startsWith(prefix))
      ?.slice(prefix.length) ?? ""
  );
}

function argumentsOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
}
