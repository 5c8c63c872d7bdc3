import { isIP, isIPv4 } from "node:net";
import { apiServerNames, wellKnown } from "#api/names";
import type { NameConstraints } from "#runtime/name-constraints";

export interface Names {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

export interface NameSettings {
  /** The manager's. */
  readonly namespace: string;
  /**
   * Addresses, or a name, of the API server's service: first what pods have in KUBERNETES_SERVICE_HOST, then those
   * of the other IP family.
   */
  readonly serviceHosts: readonly string[];
  /** Host by which the API server calls the webhooks; undefined: by the service. */
  readonly webhookHost: string | undefined;
}

/**
 * Names of a proxy's serving certificate: those by which clients in its pod know the API server. The proxy
 * has no say in them. A pod's own address counts only when it is a loopback address, as on the embedded
 * cluster: an address of the pod network would let its proxy pose as a server for other pods.
 */
export function proxyNames({ serviceHosts }: NameSettings, podIp: string): Names {
  const ownAddress = isIPv4(podIp) && podIp.startsWith("127.") ? [podIp] : [];
  return withHosts({ dnsNames: ["localhost", ...apiServerNames], ipAddresses: ["127.0.0.1", "::1"] }, [
    ...serviceHosts,
    ...ownAddress,
  ]);
}

/** The fixed name that every proxy expects of the control stream, whichever replica it dials. */
export function controlNames({ namespace }: NameSettings): Names {
  return { dnsNames: [`${wellKnown.managerService}.${namespace}.svc`], ipAddresses: [] };
}

export function webhookNames({ namespace, webhookHost }: NameSettings): Names {
  const service = { dnsNames: [`${wellKnown.webhookService}.${namespace}.svc`], ipAddresses: [] };
  return withHosts(service, [webhookHost]);
}

/** All that the mesh CA may sign. */
export function permittedNames(settings: NameSettings): NameConstraints {
  const all = [proxyNames(settings, ""), controlNames(settings), webhookNames(settings)];
  const dnsNames = all.flatMap((names) => names.dnsNames);
  const ipAddresses = all
    .flatMap((names) => names.ipAddresses)
    .filter((address) => !address.startsWith("127."));
  return {
    dnsNames: [...new Set(dnsNames)],
    ipRanges: [
      "127.0.0.0/8",
      ...new Set(ipAddresses.map((address) => `${address}/${isIPv4(address) ? 32 : 128}`)),
    ],
  };
}

function withHosts(names: Names, hosts: readonly (string | undefined)[]): Names {
  const given = hosts.filter((host) => host !== undefined).filter((host) => host !== "");
  return {
    dnsNames: [...new Set([...names.dnsNames, ...given.filter((host) => isIP(host) === 0)])],
    ipAddresses: [...new Set([...names.ipAddresses, ...given.filter((host) => isIP(host) !== 0)])],
  };
}
