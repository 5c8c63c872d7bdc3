import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import type { Log } from "#runtime/log";
import type { HostAndPort } from "#runtime/setting-types";

const serviceKind: ResourceKind = { group: "", version: "v1", resource: "services", namespaced: true };
const service = { namespace: "default", name: "kubernetes" };

/**
 * Addresses of the Service `kubernetes`, of all IP families, with each of its TCP ports.
 *
 * @throws CtrlmeshError of the API client
 */
export async function readApiServerAddresses(
  client: KubeClient,
  signal: AbortSignal,
): Promise<HostAndPort[]> {
  return addressesOf(await client.get(serviceKind, service, { signal }));
}

interface ServiceSpec {
  readonly clusterIP?: string;
  readonly clusterIPs?: readonly string[];
  readonly ports?: readonly { readonly port: number; readonly protocol?: string }[];
}

function addressesOf(object: KubernetesObject): HostAndPort[] {
  const { clusterIP = "", clusterIPs = [clusterIP], ports = [] } = (object.spec ?? {}) as ServiceSpec;
  const hosts = clusterIPs.filter((host) => host !== "" && host !== "None");
  const tcp = ports.filter(({ protocol = "TCP" }) => protocol === "TCP");
  return hosts.flatMap((host) => tcp.map(({ port }) => ({ host, port })));
}

/**
 * Hosts for the proxies' certificates: what the settings say, which is what the kubelet tells pods, and the
 * Service's addresses of the other family. A manager that may not read the Service does without the second: a client
 * that dials it then distrusts the proxy, and nothing goes round it.
 *
 * @throws CtrlmeshError of the API client, but for a Service that is not there or not to be read
 */
export async function serviceHosts(
  client: KubeClient,
  given: string | undefined,
  log: Log,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const configured = given === undefined ? [] : [given];
  try {
    const read = await readApiServerAddresses(client, signal);
    return [...new Set([...configured, ...read.map(({ host }) => host)])];
  } catch (thrown) {
    const expected =
      thrown instanceof CtrlmeshError && ["API_NOT_FOUND", "API_FORBIDDEN"].includes(thrown.code);
    if (!expected) throw thrown;
    log.warn("the Service default/kubernetes can't be read: mode iptables is refused", {
      code: thrown.code,
      reason: thrown.message,
    });
    return configured;
  }
}
