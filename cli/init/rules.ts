import { isIPv6 } from "node:net";
import type { HostAndPort } from "#runtime/setting-types";

/** What is led to the proxy instead of to where it was sent. */
export interface Redirect {
  /** Addresses and ports of the API server; IP addresses only. */
  readonly apiServer: readonly HostAndPort[];
  /** Port of the proxy on loopback, 127.0.0.1 and ::1. */
  readonly proxyPort: number;
  /** User whose traffic goes its own way: the proxy's, which would else talk to itself. */
  readonly exemptUid: number;
}

export const families = ["IPv4", "IPv6"] as const;
export type Family = (typeof families)[number];

/** Chain of table nat that holds all our rules, and nothing else. */
export const chain = "CTRLMESH_OUTPUT";

/** The addresses of one family. */
export function addressesOf(family: Family, { apiServer }: Pick<Redirect, "apiServer">): HostAndPort[] {
  return apiServer.filter(({ host }) => isIPv6(host) === (family === "IPv6"));
}

/**
 * Input of `iptables-restore --noflush` that puts the rules of one family in place of whatever an earlier run
 * left, in one transaction: naming the chain empties it, and each jump to it that is there goes first. Other
 * rules of the pod stay; ours come before them, since a redirect of somebody else would be a way round the proxy.
 *
 * @param jumps present jumps to the chain, as `iptables -S` prints them
 */
export function rulesThatRedirect(family: Family, redirect: Redirect, jumps: readonly string[]): string {
  const { proxyPort, exemptUid } = redirect;
  const prefixLength = family === "IPv6" ? 128 : 32;
  return transaction([
    `:${chain} - [0:0]`,
    ...jumps.map(asDeletion),
    `-A ${chain} -m owner --uid-owner ${exemptUid} -j RETURN`,
    ...addressesOf(family, redirect).map(
      ({ host, port }) =>
        `-A ${chain} -d ${host}/${prefixLength} -p tcp -m tcp --dport ${port} -j REDIRECT --to-ports ${proxyPort}`,
    ),
    `-I OUTPUT 1 -p tcp -j ${chain}`,
  ]);
}

/** Input of `iptables-restore --noflush` that leaves nothing of ours. */
export function rulesThatRemove(jumps: readonly string[]): string {
  return transaction([`:${chain} - [0:0]`, ...jumps.map(asDeletion), `-X ${chain}`]);
}

/** The lines of `iptables -t nat -S` that lead from OUTPUT into our chain. */
export function jumpsIn(listing: string): string[] {
  return listing
    .split("\n")
    .filter((line) => line.startsWith("-A OUTPUT ") && line.trimEnd().endsWith(`-j ${chain}`));
}

/** How many rules of the listing are ours and redirect. */
export function redirectsIn(listing: string): number {
  return listing.split("\n").filter((line) => line.startsWith(`-A ${chain} `) && line.includes("REDIRECT"))
    .length;
}

function asDeletion(jump: string): string {
  return jump.replace(/^-A /, "-D ");
}

function transaction(lines: readonly string[]): string {
  return ["*nat", ...lines, "COMMIT", ""].join("\n");
}
