import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { CtrlmeshError } from "#api/errors";
import { identify, type ProcessIdentity } from "../process-identity.ts";
import { type AddressPlan, bridge, indexOfInterface } from "./address-plan.ts";

/**
 * The machine's side of the clusters' network: a bridge with an address for the machine itself, and a cable (veth
 * pair) to each node.
 */

/** Plugs a node in: makes the bridge when it is the first, and `eth0` with its addresses inside. */
export function plugIn(plan: AddressPlan, cable: string, initPid: number): void {
  makeBridge();
  ip([`link add ${cable} type veth peer name eth0 address ${plan.nodeMac} netns ${initPid}`]);
  ip([`link set ${cable} master ${bridge.name} up`]);
  ip(
    [
      `addr add ${plan.node.ipv4}/${bridge.ipv4PrefixLength} dev eth0`,
      `addr add ${plan.node.ipv6}/${bridge.ipv6PrefixLength} dev eth0 nodad`,
      "link set eth0 up",
      `route add default via ${bridge.ipv4}`,
      `route add ::/0 via ${bridge.ipv6} dev eth0`,
    ],
    initPid,
  );
}

/** Indexes of the clusters whose nodes are plugged in now. */
export function pluggedIndexes(): number[] {
  if (!bridgeExists()) return [];
  return links(["master", bridge.name]).flatMap((name) => indexOfInterface(name) ?? []);
}

/** Removes a cable, unless the kernel has done so with the node's network. */
export function unplug(cable: string): void {
  try {
    if (isPlugged(cable)) ip([`link del ${cable}`]);
  } catch (error) {
    if (isPlugged(cable)) throw error;
  }
}

/** Whether the machine's end of a cable is there. */
export function isPlugged(cable: string): boolean {
  return existsSync(`/sys/class/net/${cable}`);
}

/** The network namespace of a process, "net:[NUMBER]"; undefined when there is no such process. */
export function networkOf(pid: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Processes that are in a network namespace. */
export function processesIn(network: string): ProcessIdentity[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.filter((pid) => networkOf(pid) === network).flatMap((pid) => identify(Number(pid)) ?? []);
}

/** Removes the bridge unless a node is plugged in. */
export function removeIdleBridge(): void {
  if (bridgeExists() && links(["master", bridge.name]).length === 0) ip([`link del ${bridge.name}`]);
}

function makeBridge(): void {
  if (bridgeExists()) return;
  ip([
    `link add ${bridge.name} type bridge`,
    `addr add ${bridge.ipv4}/${bridge.ipv4PrefixLength} dev ${bridge.name}`,
    `addr add ${bridge.ipv6}/${bridge.ipv6PrefixLength} dev ${bridge.name} nodad`,
    `link set ${bridge.name} up`,
  ]);
}

function bridgeExists(): boolean {
  return spawnSync("ip", ["link", "show", "dev", bridge.name]).status === 0;
}

function links(filter: readonly string[]): string[] {
  const { stdout } = run("ip", ["-json", "link", "show", ...filter], "");
  // Without any, older versions print nothing.
  const found = JSON.parse(stdout.trim() === "" ? "[]" : stdout) as { ifname?: string }[];
  return found.flatMap(({ ifname }) => ifname ?? []);
}

/** Runs lines of `ip -batch`, in another process's network namespace when one is given. */
function ip(lines: readonly string[], inNetworkOf?: number): void {
  const batch = ["ip", "-batch", "-"];
  const [program = "", ...args] =
    inNetworkOf === undefined ? batch : ["nsenter", "--target", `${inNetworkOf}`, "--net", "--", ...batch];
  run(program, args, `${lines.join("\n")}\n`);
}

function run(program: string, args: readonly string[], input: string): { readonly stdout: string } {
  const result = spawnSync(program, args, { input, encoding: "utf8" });
  if (result.status === 0) return result;
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `${program} ${args.join(" ")}: ${(result.stderr ?? "").trim()} (${input.trim().replaceAll("\n", "; ")})`,
    cause: result.error,
  });
}
