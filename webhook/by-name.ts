import { annotations, apiServerNames, environment } from "#api/names";
import type { HostAndPort } from "#runtime/setting-types";
import { refusal } from "./injection-request.ts";
import { byName, withEntries } from "./keyed-list.ts";
import type { EnvVar, Pod } from "./pod.ts";

/** Where the proxy answers who dials the API server's name: the port of the Service. */
export const byNameAddress: HostAndPort = { host: "127.0.0.1", port: 443 };

/** A safe sysctl (every level of Pod Security admits it), of this pod's network namespace alone. */
const lowestPort = "net.ipv4.ip_unprivileged_port_start";

const catching = `the annotation ${annotations.proxyByName} leads the name to the proxy`;

/**
 * Leads clients that dial the API server by its name and port 443 to the proxy, without any right: the names stand
 * in the pod's hosts file, and the proxy, which is not root, may listen on 443.
 *
 * @param upstream what the pod's containers say of the API server's address
 * @throws INJECTION_REFUSED when the pod says something else of a name, of the port or of the sysctl
 */
export function caughtByName(pod: Pod, upstream: readonly EnvVar[]): Pod {
  refuseLoop(upstream);
  return {
    ...pod,
    spec: {
      ...pod.spec,
      hostAliases: withNames(pod),
      securityContext: { ...pod.spec.securityContext, sysctls: withLowestPort(pod) },
    },
  };
}

/** The hosts file is the proxy's too: an API server that it dials by one of the names would be itself. */
function refuseLoop(upstream: readonly EnvVar[]): void {
  const host = upstream.find(({ name }) => name === environment.kubernetesServiceHost)?.value;
  if (host === undefined || !isApiServerName(host)) return;
  throw refusal(
    "spec.containers[].env",
    `${environment.kubernetesServiceHost} is "${host}", and ${catching}, which would dial itself`,
    "take the variable or the annotation away",
  );
}

function withNames({ spec }: Pod): NonNullable<Pod["spec"]["hostAliases"]> {
  const aliases = spec.hostAliases ?? [];
  const other = aliases.findIndex(
    ({ ip, hostnames = [] }) => ip !== byNameAddress.host && hostnames.some(isApiServerName),
  );
  if (other >= 0) {
    throw refusal(
      `spec.hostAliases[${other}]`,
      `it gives the API server's name another address, and ${catching}`,
      "take the name out of hostAliases, or the annotation away",
    );
  }
  const present = aliases.find(({ ip }) => ip === byNameAddress.host);
  const hostnames = [...new Set([...(present?.hostnames ?? []), ...apiServerNames])];
  return withEntries(aliases, [{ ip: byNameAddress.host, hostnames }], ({ ip }) => ip);
}

function isApiServerName(name: string): boolean {
  return apiServerNames.some((known) => known === name.replace(/\.$/, "").toLowerCase());
}

function withLowestPort({ spec }: Pod): { readonly name: string; readonly value: string }[] {
  const sysctls = spec.securityContext?.sysctls ?? [];
  const present = sysctls.find(({ name }) => name === lowestPort);
  if (present === undefined) {
    return withEntries(sysctls, [{ name: lowestPort, value: String(byNameAddress.port) }], byName);
  }
  if (Number(present.value) <= byNameAddress.port) return [...sysctls];
  throw refusal(
    "spec.securityContext.sysctls",
    `${lowestPort} is ${present.value}, so the proxy can't listen on ${byNameAddress.port}, and ${catching}`,
    `set it to ${byNameAddress.port} or less, or take the annotation away`,
  );
}
