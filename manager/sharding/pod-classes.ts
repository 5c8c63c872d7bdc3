import { isIP } from "node:net";
import type { KubernetesObject } from "#api/meta";
import { containers, labels, proxyPaths, relayEnvironment } from "#api/names";
import type { ShardingConfig } from "#api/sharding-config";
import { isRecord } from "#kube/client/api-error";
import { selects } from "#webhook/opt-in";

/** A pod as the sharding of its namespace sees it. */
export interface ObservedPod {
  readonly uid: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The proxy runs in it. Without one it does as it likes. */
  readonly isInjected: boolean;
  /** ShardingConfig that its injection named. */
  readonly shard: string;
  readonly ready: boolean;
  /** Where its proxy takes admission reviews from other pods; undefined when it relays none. */
  readonly relayAddress: string | undefined;
  readonly terminating: boolean;
  /** Succeeded or Failed: no container runs or can start again. */
  readonly ended: boolean;
  /** Every container was seen terminated, and none can start again. */
  readonly terminated: boolean;
  /** Has a credential that is not bound to the pod. */
  readonly unbound: boolean;
}

/** Narrows a pod of the API server; what it does not say is taken as not so. */
export function observePod({ metadata = {}, spec, status }: KubernetesObject): ObservedPod {
  const podLabels = metadata.labels ?? {};
  const podSpec = isRecord(spec) ? spec : {};
  const podStatus = isRecord(status) ? status : {};
  const running = [...records(podSpec.containers), ...records(podSpec.initContainers)];
  const terminating = metadata.deletionTimestamp !== undefined;
  const ended = podStatus.phase === "Succeeded" || podStatus.phase === "Failed";
  return {
    uid: metadata.uid ?? "",
    name: metadata.name ?? "",
    labels: podLabels,
    isInjected: running.some(({ name }) => name === containers.proxy),
    shard: podLabels[labels.shardingConfigInjected] ?? "",
    ready: records(podStatus.conditions).some(({ type, status: is }) => type === "Ready" && is === "True"),
    relayAddress: relayAddressOf(running, podStatus),
    terminating,
    ended,
    terminated: (terminating || ended) && allTerminated(podStatus, running.length),
    unbound: running.some((container) => mountsTokenSecret(container, podSpec)),
  };
}

function relayAddressOf(
  running: readonly Record<string, unknown>[],
  { podIP }: Record<string, unknown>,
): string | undefined {
  const proxy = running.find(({ name }) => name === containers.proxy);
  const relays = records(proxy?.env).some(({ name }) => name === relayEnvironment.target);
  return relays && typeof podIP === "string" && isIP(podIP) !== 0 ? podIP : undefined;
}

function allTerminated(status: Record<string, unknown>, count: number): boolean {
  const states = [...records(status.containerStatuses), ...records(status.initContainerStatuses)];
  return states.length >= count && states.every(({ state }) => isRecord(state) && isRecord(state.terminated));
}

/** A legacy token Secret in the place of the projected token: it stays good when the pod is gone. */
function mountsTokenSecret(container: Record<string, unknown>, spec: Record<string, unknown>): boolean {
  if (container.name === containers.proxy) return false;
  const secrets = records(spec.volumes)
    .filter(({ secret }) => isRecord(secret))
    .map(({ name }) => name);
  return records(container.volumeMounts).some(
    ({ mountPath, name }) => mountPath === proxyPaths.serviceAccountDirectory && secrets.includes(name),
  );
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** The ShardingConfigs of a namespace, as far as they can be read. */
export interface NamespaceConfigs {
  readonly readable: readonly ShardingConfig[];
  /** Name to problem. */
  readonly unreadable: ReadonlyMap<string, string>;
}

/** ShardingConfigs whose selectors choose a pod; those that are being deleted still do. */
export function selecting(pod: ObservedPod, { readable }: NamespaceConfigs): readonly ShardingConfig[] {
  return readable.filter((config) => selects(config, pod.labels));
}

/**
 * Why an injected pod may have nothing, for people; undefined when it may. A pod that the ledger records keeps what
 * it has when a second ShardingConfig selects it: which shard it serves was settled when it began.
 */
export function refusalOf(
  pod: ObservedPod,
  shard: string,
  isRecorded: boolean,
  configs: NamespaceConfigs,
): string | undefined {
  if (configs.unreadable.has(shard)) {
    return isRecorded
      ? undefined
      : `ShardingConfig ${shard} cannot be read: ${configs.unreadable.get(shard)}`;
  }
  const config = configs.readable.find(({ metadata }) => metadata.name === shard);
  if (config === undefined) return `there is no ShardingConfig ${shard} in this namespace`;
  if (config.metadata.deletionTimestamp !== undefined) return `ShardingConfig ${shard} is being deleted`;
  if (config.spec.root !== undefined)
    return `ShardingConfig ${shard} is a root, which has no pods of its own`;
  const matching = selecting(pod, configs).map(({ metadata }) => metadata.name);
  if (!matching.includes(shard)) return `ShardingConfig ${shard} does not select this pod any more`;
  if (matching.length > 1 && !isRecorded) {
    return `more than one ShardingConfig selects this pod: ${[...matching].sort().join(", ")}`;
  }
  return undefined;
}
