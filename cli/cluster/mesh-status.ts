import { version as ownVersion } from "#api/version";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { memberOf, recordsOf, textOf } from "./check/read.ts";
import { conditionsOf } from "./conditions.ts";
import { listOurs } from "./inventory.ts";
import { kinds } from "./kinds.ts";
import { readMeshSettings } from "./mesh-settings.ts";

/** What `ctrlmesh status` tells, as -o json prints it. */
export interface MeshStatus {
  readonly manager: {
    readonly namespace: string;
    /** Empty: none has led here. */
    readonly leader: string;
    readonly version: string;
    readonly term: number;
  };
  readonly clientVersion: string;
  readonly shards: readonly ShardLine[];
}

export interface ShardLine {
  readonly namespace: string;
  readonly name: string;
  /** "Outdated": what the manager last said is about an older version of the ShardingConfig. */
  readonly ready: "True" | "False" | "Unknown" | "Outdated";
  readonly held: string;
  readonly pending: string;
  readonly revoking: string;
  readonly podsReady: string;
  readonly epoch: number;
  readonly pods: readonly PodLine[];
  /** Those that ask for attention: not Ready, or any other one that is true. */
  readonly conditions: readonly {
    readonly type: string;
    readonly reason: string;
    readonly message: string;
  }[];
}

export interface PodLine {
  readonly name: string;
  readonly connected: boolean;
  readonly ready: boolean;
  /** term/revision of the last snapshot that it acknowledged; empty: none. */
  readonly snapshot: string;
  readonly proxyVersion: string;
}

/** Conditions that are good when they are true. */
const good: ReadonlySet<string> = new Set(["Ready", "Granted"]);

/**
 * Reads the status of all shards.
 *
 * @returns with the resourceVersion from which a watch goes on
 * @throws what `KubeClient.list` throws
 */
export async function readMeshStatus(
  client: KubeClient,
  namespace: string | undefined,
  call: CallOptions,
): Promise<{ readonly status: MeshStatus; readonly resourceVersion: string }> {
  const [settings, configs] = await Promise.all([
    readMeshSettings(client, call),
    listOurs(client, kinds.shardingConfigs, namespace, call),
  ]);
  const { state } = settings;
  const status: MeshStatus = {
    manager: {
      namespace: settings.namespace,
      leader: state?.endpoints?.find(({ leader }) => leader)?.name ?? "",
      version: settings.version ?? "",
      term: state?.term ?? 0,
    },
    clientVersion: ownVersion,
    shards: configs.objects.map(shardLine).sort(byPlace),
  };
  return { status, resourceVersion: configs.resourceVersion };
}

type ConfigObject = Parameters<typeof conditionsOf>[0];

/** Reads a status that any version of the manager may have written. */
export function shardLine(object: ConfigObject): ShardLine {
  const { namespace = "", name = "", generation } = object.metadata ?? {};
  const { status } = object;
  const conditions = conditionsOf(object);
  const ready = conditions.find(({ type }) => type === "Ready");
  const isOutdated = ready !== undefined && ready.observedGeneration !== generation;
  const epoch = memberOf(status, "epoch");
  return {
    namespace,
    name,
    ready: isOutdated ? "Outdated" : (ready?.status ?? "Unknown"),
    held: textOf(memberOf(status, "atoms", "held")) ?? "",
    pending: textOf(memberOf(status, "atoms", "pending")) ?? "",
    revoking: textOf(memberOf(status, "atoms", "revoking")) ?? "",
    podsReady: textOf(memberOf(status, "podsReady")) ?? "",
    epoch: typeof epoch === "number" ? epoch : 0,
    pods: recordsOf(memberOf(status, "pods")).map(podLine),
    conditions: conditions
      .filter(({ type, status: is }) => (good.has(type) ? type === "Ready" && is !== "True" : is === "True"))
      .map(({ type, reason, message }) => ({ type, reason, message })),
  };
}

function podLine(pod: Record<string, unknown>): PodLine {
  const { ackedTerm, ackedRevision } = pod;
  const hasAcked = typeof ackedTerm === "number" && typeof ackedRevision === "number";
  return {
    name: textOf(pod.name) ?? "",
    connected: pod.connected === true,
    ready: pod.ready === true,
    snapshot: hasAcked ? `${ackedTerm}/${ackedRevision}` : "",
    proxyVersion: textOf(pod.proxyVersion) ?? "",
  };
}

function byPlace(a: ShardLine, b: ShardLine): number {
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1;
}
