import { isLabelValue } from "#api/label-selector";
import { annotations, labels } from "#api/names";
import { ports } from "#api/ports";
import { byNameAddress } from "./by-name.ts";
import { type InjectionRequest, refusal } from "./injection-request.ts";
import { containersOf, isTheirs } from "./our-containers.ts";
import type { Pod } from "./pod.ts";
import { relayPorts } from "./review-relay.ts";
import { volumeNames } from "./volumes.ts";

/**
 * Pods that no mode can give a proxy.
 *
 * @throws INJECTION_REFUSED with field and way out
 */
export function refuseImpossible(pod: Pod, request: InjectionRequest): void {
  if (pod.spec.hostNetwork === true) {
    throw refusal(
      "spec.hostNetwork",
      "a pod on the host's network shares its loopback addresses, so the proxy's port is not its own",
      `take hostNetwork away, or set the label ${labels.enableProxy}: "false"`,
    );
  }
  if (pod.metadata.labels?.[labels.kubeconfigVolume] !== undefined) {
    throw refusal(
      `metadata.labels[${labels.kubeconfigVolume}]`,
      "a proxy speaks only to the API server of its own cluster",
      "take the label away",
    );
  }
  if (!isLabelValue(request.shard)) {
    throw refusal(
      `metadata.labels[${labels.shardingConfigInjected}]`,
      `the name "${request.shard}" of the ShardingConfig does not fit into a label`,
      "give it a name of at most 63 characters",
    );
  }
  refuseTakenNames(pod);
  refuseTakenPorts(pod, request);
}

/** Our names in a pod that was not injected before. */
function refuseTakenNames(pod: Pod): void {
  if (pod.metadata.annotations?.[annotations.injected] !== undefined) return;
  const container = containersOf(pod).find((each) => !isTheirs(each));
  if (container !== undefined) {
    throw refusal("spec.containers", `the name ${container.name} is taken`, "rename that container");
  }
  const names = new Set<string>(Object.values(volumeNames));
  const index = (pod.spec.volumes ?? []).findIndex(({ name }) => names.has(name));
  const taken = pod.spec.volumes?.[index];
  if (taken !== undefined) {
    throw refusal(`spec.volumes[${index}]`, `the name "${taken.name}" is taken`, "rename that volume");
  }
}

/** Containers of a pod share its addresses: one of two that listen on the same port ends. */
function refuseTakenPorts(pod: Pod, { byName, webhook }: InjectionRequest): void {
  const taken: readonly number[] = [
    ports.proxyApiserver,
    ports.proxyAdmin,
    ...(byName ? [byNameAddress.port] : []),
    ...(webhook === undefined ? [] : relayPorts),
  ];
  for (const { name, ports: declared = [] } of containersOf(pod).filter(isTheirs)) {
    const port = declared.find(
      ({ containerPort, protocol = "TCP" }) => protocol === "TCP" && taken.includes(containerPort),
    );
    if (port === undefined) continue;
    throw refusal(
      `container "${name}": ports`,
      `the proxy listens on ${port.containerPort}`,
      port.containerPort === byNameAddress.port
        ? `let the container listen on another port, or take the annotation ${annotations.proxyByName} away`
        : "let the container listen on another port",
    );
  }
}
