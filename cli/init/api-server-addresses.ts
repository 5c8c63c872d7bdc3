import { isIP } from "node:net";
import { CtrlmeshError } from "#api/errors";
import { environment } from "#api/names";
import { type HostAndPort, parseAddress, printAddress } from "#runtime/setting-types";
import type { Environment } from "#runtime/settings";

/**
 * All addresses at which clients of this pod may dial the API server: those that the manager read from the
 * Service `kubernetes`, of both IP families, and the one that the kubelet put into the environment, which is
 * what most clients read. Neither is enough alone: the environment has one family only, and the manager's
 * view may be older than the node's. An address too many redirects nothing that could be reached otherwise; one
 * too few would be a way round the proxy.
 *
 * @throws INVALID_FLAG, INVALID_SETTING for a name: rules hold addresses, and a name may get another one later
 */
export function apiServerAddresses(flags: readonly string[], env: Environment): readonly HostAndPort[] {
  const found = new Map<string, HostAndPort>();
  for (const given of [...flags.map(fromFlag), ...fromEnvironment(env)])
    found.set(printAddress(given), given);
  if (found.size > 0) return [...found.values()];
  throw new CtrlmeshError("INVALID_FLAG", {
    where: "--api-server",
    what: "the API server's address is not known",
    hint: `give IP:PORT, or run inside a pod, which has $${environment.kubernetesServiceHost}`,
  });
}

function fromFlag(given: string): HostAndPort {
  const address = parseAddress(given);
  if (address !== undefined && isIP(address.host) !== 0) return address;
  throw new CtrlmeshError("INVALID_FLAG", {
    where: "--api-server",
    what: `${JSON.stringify(given)} is no IP:PORT`,
    hint: "give addresses such as 10.96.0.1:443 or [fd00::1]:443, not names: rules hold addresses",
  });
}

function fromEnvironment(env: Environment): HostAndPort[] {
  const host = env[environment.kubernetesServiceHost] ?? "";
  if (host === "") return [];
  const port = env[environment.kubernetesServicePort] ?? "443";
  const address = parseAddress(`${host.includes(":") ? `[${host}]` : host}:${port}`);
  if (address !== undefined && isIP(host) !== 0) return [address];
  throw new CtrlmeshError("INVALID_SETTING", {
    where: `${environment.kubernetesServiceHost}, ${environment.kubernetesServicePort}`,
    what: `"${host}" and "${port}" are no IP address and port`,
    hint: 'rules hold addresses, not names: use proxy-mode: "env" where the API server has a name only',
  });
}
