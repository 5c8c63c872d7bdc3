import { CtrlmeshError } from "#api/errors";

/** An IPv4 and an IPv6 address, or range in CIDR notation. */
export interface DualStack {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** All addresses of one cluster. Nodes and pods of two clusters have different ones; Services are each cluster's own. */
export interface AddressPlan {
  readonly node: DualStack;
  /**
   * Of the node's interface. Always the same for the same addresses: whoever talked to the one that had them before
   * would go on to send to that for half a minute.
   */
  readonly nodeMac: string;
  readonly podRanges: DualStack;
  readonly serviceRanges: DualStack;
  /** The first address of the IPv4 range: the API server gives it to the Service `kubernetes`. */
  readonly apiServerService: string;
  /** Of the Service `kube-dns`. */
  readonly dns: DualStack;
}

/** The bridge on this machine that all nodes are plugged into. */
export const bridge = {
  name: "ctrlmesh0",
  ipv4: "10.213.0.1",
  ipv6: "fdc7:2a5e:90b1::1",
  ipv4PrefixLength: 24,
  ipv6PrefixLength: 64,
} as const;

/** How many clusters one machine can have. */
export const clusterLimit = 200;

/**
 * @param index 0 to 199
 * @throws INTERNAL for any other
 */
export function addressPlan(index: number): AddressPlan {
  if (!Number.isInteger(index) || index < 0 || index >= clusterLimit)
    throw new CtrlmeshError("INTERNAL", { what: `no cluster has the index ${index}` });
  const host = index + 10;
  return {
    node: { ipv4: `10.213.0.${host}`, ipv6: `fdc7:2a5e:90b1::${host.toString(16)}` },
    nodeMac: `02:63:6d:00:00:${host.toString(16).padStart(2, "0")}`,
    podRanges: { ipv4: `10.214.${index}.0/24`, ipv6: `fdc7:2a5e:90b1:${(0x100 + index).toString(16)}::/64` },
    serviceRanges: { ipv4: "10.96.0.0/16", ipv6: "fdc7:2a5e:90b1:ffff::/112" },
    apiServerService: "10.96.0.1",
    dns: { ipv4: "10.96.0.10", ipv6: "fdc7:2a5e:90b1:ffff::a" },
  };
}

/** The lowest index that is not taken; undefined when all are. */
export function freeIndex(taken: Iterable<number>): number | undefined {
  const used = new Set(taken);
  for (let index = 0; index < clusterLimit; index++) if (!used.has(index)) return index;
  return undefined;
}

/**
 * This machine's end of a cluster's cable; the kernel allows 15 characters.
 *
 * @param id 8 hexadecimal digits
 */
export function interfaceName(index: number, id: string): string {
  return `cm${index}-${id}`;
}

/** The index of the cluster that an interface belongs to; undefined for any other interface. */
export function indexOfInterface(name: string): number | undefined {
  const digits = /^cm(\d{1,3})-[0-9a-f]{8}$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
