import { environment } from "#api/names";
import { ports } from "#api/ports";
import { byName, withEntries } from "../keyed-list.ts";
import type { Container, EnvVar } from "../pod.ts";
import type { Mode } from "./mode.ts";

/** The variables from which every in-cluster configuration takes the API server's address. */
export const proxyAddress: readonly EnvVar[] = [
  { name: environment.kubernetesServiceHost, value: "127.0.0.1" },
  { name: environment.kubernetesServicePort, value: String(ports.proxyApiserver) },
  { name: `${environment.kubernetesServicePort}_HTTPS`, value: String(ports.proxyApiserver) },
];

/** Sets the API server's address to the proxy's; the operator keeps its token. */
export function routeByEnvironment(container: Container): Container {
  return { ...container, env: withEntries(container.env, proxyAddress, byName) };
}

export function envMode(): Mode {
  return {
    volumes: () => [],
    route: (container) => ({ container: routeByEnvironment(container), kubeconfigFlag: false }),
  };
}
