import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import { missingBinaries, missingNodeBinaries } from "../versions.ts";

/** What a node needs of the machine, and the Debian package that brings it. */
const systemParts: readonly { readonly package_: string; readonly program: string }[] = [
  { package_: "containerd", program: "containerd" },
  { package_: "runc", program: "runc" },
  { package_: "containernetworking-plugins", program: "/usr/lib/cni/bridge" },
  { package_: "iptables", program: "iptables" },
  { package_: "iproute2", program: "ip" },
  { package_: "conntrack", program: "conntrack" },
  { package_: "util-linux", program: "nsenter" },
];

/** Debian packages that are not installed. */
export function missingPackages(): string[] {
  return systemParts.filter(({ program }) => !isInstalled(program)).map(({ package_ }) => package_);
}

const folders = `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`.split(delimiter);

function isInstalled(program: string): boolean {
  return program.startsWith("/")
    ? existsSync(program)
    : folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

/**
 * Installs them with apt-get.
 *
 * @throws CHILD_PROCESS_FAILED without root or apt-get, or with what apt-get said
 */
export function installPackages(say: (line: string) => void): void {
  const packages = missingPackages();
  if (packages.length === 0) return;
  const hint = `install by hand: ${packages.join(" ")}`;
  if (process.getuid?.() !== 0)
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: "packages are missing and only root can install them",
      hint,
    });
  say(`installing ${packages.join(" ")}`);
  // Somebody else may be installing something at this moment.
  aptGet(["update", "-qq"], hint);
  aptGet(["install", "-y", "-qq", "--no-install-recommends", ...packages], hint);
}

function aptGet(args: readonly string[], hint: string): void {
  const result = spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (result.status === 0) return;
  const said = result.error?.message ?? (result.stderr ?? "").trim().slice(-1000);
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `apt-get ${args[0]}: ${said}`,
    hint,
    cause: result.error,
  });
}

/** Why no node can run here now, with the remedy; undefined when one can. */
export function reasonAgainstNodes(versions: readonly string[]): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "a node needs Linux and root: it makes namespaces, mounts and control groups";
  const missing = [...missingBinaries(versions), ...missingNodeBinaries(versions), ...missingPackages()];
  if (missing.length === 0) return undefined;
  const flags = versions.map((version) => ` --version ${version}`).join("");
  return `${missing.join(", ")} missing; npm run cluster -- build --nodes${flags}`;
}

/** @throws FILE_UNREADABLE when a part is missing */
export function requireNodeParts(version: string): void {
  const reason = reasonAgainstNodes([version]);
  if (reason !== undefined)
    throw new CtrlmeshError("FILE_UNREADABLE", { what: `no node of ${version}: ${reason}` });
}
