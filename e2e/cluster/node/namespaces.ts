import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { CtrlmeshError } from "#api/errors";
import { identify, type ProcessIdentity } from "../process-identity.ts";

/**
 * A node is a set of namespaces (processes, mounts, network) held by one process, its init. When init ends, by
 * whatever cause, the kernel ends every process of the node, containers and their shims too, and with the last one
 * go the node's mounts and its network. So whoever knows init can remove all of a node.
 */

/**
 * What init does before it only waits. What containers and plugins keep in fixed places of a machine lies in
 * memory of the node. It ends with its starter: before that has written init down `read` fails, later the program
 * that it becomes sees the end of its input.
 */
const initScript = `set -e
mount --make-rshared /
mount -t proc proc /proc
for folder in /run /var/log/containers /var/lib/cni; do
  mkdir -p "$folder"
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
ip link set lo up
set_to() { [ ! -e "/proc/sys/net/$1" ] || echo "$2" > "/proc/sys/net/$1"; }
for scope in all default; do
  set_to "ipv6/conf/$scope/disable_ipv6" 0
  set_to "ipv6/conf/$scope/forwarding" 1
  set_to "ipv6/conf/$scope/accept_dad" 0
done
set_to ipv4/ip_forward 1
set_to bridge/bridge-nf-call-iptables 1
set_to bridge/bridge-nf-call-ip6tables 1
echo ready
read -r recorded
exec "$0" attached
`;

/** Programs of the node find each other and the system's by this. */
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };

/** A node's init, which ends when this process does. */
export interface AttachedInit {
  readonly identity: ProcessIdentity;
  /** Lets it go on after it has been written down. */
  release(): void;
  /** Lets it outlive this process. */
  keep(): void;
}

/**
 * Makes the namespaces.
 *
 * @param program what init becomes: the program `pause`
 * @param logPath where it writes to
 * @throws CHILD_PROCESS_FAILED with what the system refused
 */
export async function startInit(program: string, logPath: string): Promise<AttachedInit> {
  const log = openSync(logPath, "a");
  const flags = ["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child"];
  const child = spawn("unshare", [...flags, "--", "sh", "-c", initScript, program], {
    detached: true,
    stdio: ["pipe", "pipe", log],
    env: environment,
    cwd: "/",
  });
  closeSync(log);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new CtrlmeshError("INTERNAL", { what: "no pipes to init" });
  stdin.on("error", () => undefined);
  const ready = once(stdout, "data").then(() => true);
  const ended = once(child, "exit").then(() => false);
  const identity = (await Promise.race([ready, ended])) ? childOf(child.pid ?? 0) : undefined;
  if (identity === undefined)
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: `no namespaces for a node: ${readFileSync(logPath, "utf8").trim().slice(-500)}`,
      hint: "this needs root, and a kernel with network, mount and process namespaces",
    });
  return {
    identity,
    release: () => {
      stdin.write("recorded\n");
      stdout.destroy();
      child.unref();
      if (stdin instanceof Socket) stdin.unref();
    },
    keep: () => stdin.end("keep\n"),
  };
}

/** The only child of a process, as this side knows it. */
export function childOf(pid: number): ProcessIdentity | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    return child === undefined || child === "" ? undefined : identify(Number(child));
  } catch {
    return undefined;
  }
}

/** The command that runs another one inside a node. */
export function insideNode(init: ProcessIdentity, command: readonly string[]): string[] {
  return ["nsenter", "--target", `${init.pid}`, "--mount", "--net", "--pid", "--", ...command];
}

/** The command that runs another one with a node's network only: it sees this machine's files and processes. */
export function inNetworkOf(init: ProcessIdentity, command: readonly string[]): string[] {
  return ["nsenter", "--target", `${init.pid}`, "--net", "--", ...command];
}

const pollMs = 5;

/**
 * Starts a program inside a node that outlives this process.
 *
 * @returns the program's own process
 * @throws CHILD_PROCESS_FAILED when it ends at once
 */
export async function startInside(
  init: ProcessIdentity,
  command: readonly string[],
  logPath: string,
): Promise<ProcessIdentity> {
  const [program = "", ...args] = insideNode(init, command);
  const log = openSync(logPath, "a");
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: environment,
    cwd: "/",
  });
  closeSync(log);
  child.unref();
  while (isRunning(child)) {
    const identity = childOf(child.pid ?? 0);
    if (identity !== undefined) return identity;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `${command[0]} ended at once: ${readFileSync(logPath, "utf8").slice(-1500)}`,
  });
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}
