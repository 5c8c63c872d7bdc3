import { readFileSync } from "node:fs";
import { notPermitted } from "./iptables-failure.ts";

/** Bits of the capability sets in /proc/self/status (linux/capability.h). */
const capabilityBits = { NET_ADMIN: 12n, NET_RAW: 13n } as const;
export type Capability = keyof typeof capabilityBits;

/**
 * Those of the given capabilities that the process does not have.
 *
 * @param processStatus text of /proc/self/status
 */
export function missingCapabilities(processStatus: string, needed: readonly Capability[]): Capability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(processStatus)?.[1] ?? "0"}`);
  return needed.filter((name) => (effective & (1n << capabilityBits[name])) === 0n);
}

/** @throws REDIRECT_NOT_PERMITTED before anything is touched: what iptables says of it differs by version */
export function requireCapabilities(needed: readonly Capability[]): void {
  const missing = missingCapabilities(readFileSync("/proc/self/status", "utf8"), needed);
  if (missing.length > 0) {
    throw notPermitted("capabilities of this process", `${missing.join(" and ")} missing`);
  }
}
