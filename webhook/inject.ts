import { isLabelValue } from "#api/label-selector";
import { annotations, containers, labels, proxyPaths } from "#api/names";
import { readEnvInject } from "./env-inject.ts";
import {
  type InjectionMode,
  type InjectionRecord,
  type InjectionRequest,
  injectionModes,
  refusal,
} from "./injection-request.ts";
import { byName, entriesFirst, withEntries } from "./keyed-list.ts";
import { shareLogs } from "./log-path.ts";
import { envMode } from "./modes/env.ts";
import { kubeconfigMode } from "./modes/kubeconfig.ts";
import type { Mode } from "./modes/mode.ts";
import type { Container, Pod, Volume } from "./pod.ts";
import { isProxy, proxyContainer } from "./proxy-container.ts";
import { readProxyWishes } from "./proxy-wishes.ts";
import {
  apiAccessMount,
  apiAccessVolume,
  proxyVolumes,
  serviceAccountMount,
  trustingMesh,
  volumeNames,
} from "./volumes.ts";

export interface Injection {
  readonly pod: Pod;
  readonly record: InjectionRecord;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

const modes: Record<InjectionMode, () => Mode> = { env: envMode, kubeconfig: kubeconfigMode };

/**
 * Puts the proxy into a pod and leads the operator's containers to it. Pure and idempotent: applied to its
 * own result, also after others have added containers to it, it only does what is still missing. What the
 * user set stays, but for the API server's address and the CA.
 *
 * @throws INJECTION_REFUSED when the pod can't be run with a proxy, with field and hint
 */
export function inject(pod: Pod, request: InjectionRequest): Injection {
  refuseImpossible(pod, request);
  const mode = modes[request.mode]();
  const present = allContainers(pod).find(isProxy);
  const apps = withoutProxy(pod);
  const appContainers = [...apps.spec.containers, ...(apps.spec.initContainers ?? [])];
  const proxy = proxyContainer(request, readProxyWishes(apps, appContainers, present), present);
  const withEnv = withInjectedEnv(apps);
  const routed = routeContainers(withEnv, request, mode);
  const withVolumes = withTrust(routed.pod, mode);
  const placed = placeProxy(withVolumes.pod, proxy, request);
  const done = shareLogs(placed);
  const record: InjectionRecord = {
    shard: request.shard,
    mode: request.mode,
    sidecar: request.nativeSidecars ? "native" : "container",
    containers: routed.containers,
    volumes: withVolumes.added,
    caVolumes: withVolumes.trusting,
    kubeconfigFlags: routed.kubeconfigFlags,
  };
  return { pod: withMarks(done, record), record, warnings: warningsAbout(pod, request) };
}

/**
 * The mode that pod or namespace asks for; the pod wins.
 *
 * @throws INJECTION_REFUSED for a mode that does not exist
 */
export function chooseMode(pod: Pod, namespaceAnnotations: Readonly<Record<string, string>>): InjectionMode {
  const key = annotations.proxyMode;
  const own = pod.metadata.annotations?.[key];
  const wanted = own ?? namespaceAnnotations[key] ?? "env";
  const mode = injectionModes.find((name) => name === wanted);
  const iptables = pod.metadata.labels?.[labels.enableIptables] === "true";
  if (mode !== undefined && !(own === undefined && iptables)) return mode;
  const where =
    mode === undefined
      ? `${own === undefined ? "namespace " : ""}metadata.annotations[${key}]`
      : `metadata.labels[${labels.enableIptables}]`;
  throw refusal(
    where,
    mode === undefined ? `there is no mode "${wanted}"` : "there is no mode iptables",
    `the modes are ${injectionModes.join(" and ")}`,
  );
}

function refuseImpossible(pod: Pod, { shard }: InjectionRequest): void {
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
  if (!isLabelValue(shard)) {
    throw refusal(
      `metadata.labels[${labels.shardingConfigInjected}]`,
      `the name "${shard}" of the ShardingConfig does not fit into a label`,
      "give it a name of at most 63 characters",
    );
  }
  refuseTakenNames(pod);
}

/** Our names in a pod that was not injected before. */
function refuseTakenNames(pod: Pod): void {
  if (pod.metadata.annotations?.[annotations.injected] !== undefined) return;
  if (allContainers(pod).some(isProxy)) {
    throw refusal("spec.containers", `the name ${containers.proxy} is taken`, "rename that container");
  }
  const names = new Set<string>(Object.values(volumeNames));
  const index = (pod.spec.volumes ?? []).findIndex(({ name }) => names.has(name));
  const taken = pod.spec.volumes?.[index];
  if (taken !== undefined) {
    throw refusal(`spec.volumes[${index}]`, `the name "${taken.name}" is taken`, "rename that volume");
  }
}

function allContainers({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

function withoutProxy(pod: Pod): Pod {
  const { initContainers, ...spec } = pod.spec;
  const kept = initContainers?.filter((container) => !isProxy(container));
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers.filter((container) => !isProxy(container)),
      ...(kept === undefined ? {} : { initContainers: kept }),
    },
  };
}

function withInjectedEnv(pod: Pod): Pod {
  const wanted = readEnvInject(pod, pod.spec.containers);
  const containersWithEnv = pod.spec.containers.map((container) => {
    const variables = wanted.get(container.name);
    return variables === undefined
      ? container
      : { ...container, env: withEntries(container.env, variables, byName) };
  });
  return { ...pod, spec: { ...pod.spec, containers: containersWithEnv } };
}

interface Routed {
  readonly pod: Pod;
  readonly containers: readonly string[];
  readonly kubeconfigFlags: readonly string[];
}

/** Init containers run before a proxy that is no native sidecar: they keep their own way. */
function routeContainers(pod: Pod, request: InjectionRequest, mode: Mode): Routed {
  const names: string[] = [];
  const kubeconfigFlags: string[] = [];
  const mounts = pod.spec.automountServiceAccountToken !== false;
  const route = (field: string) => (container: Container, index: number) => {
    const routed = mode.route(container, pod, `spec.${field}[${index}]`);
    names.push(container.name);
    if (routed.kubeconfigFlag) kubeconfigFlags.push(container.name);
    if (!mounts || serviceAccountMount(container) !== undefined) return routed.container;
    return {
      ...routed.container,
      volumeMounts: [...(routed.container.volumeMounts ?? []), apiAccessMount],
    };
  };
  const { initContainers } = pod.spec;
  const spec = {
    ...pod.spec,
    containers: pod.spec.containers.map(route("containers")),
    ...(request.nativeSidecars && initContainers !== undefined
      ? { initContainers: initContainers.map(route("initContainers")) }
      : {}),
  };
  return { pod: { ...pod, spec }, containers: names, kubeconfigFlags };
}

interface WithVolumes {
  readonly pod: Pod;
  readonly added: readonly string[];
  readonly trusting: readonly string[];
}

function withTrust(pod: Pod, mode: Mode): WithVolumes {
  const mounted = new Set(
    allContainers(pod).flatMap((container) => serviceAccountMount(container)?.name ?? []),
  );
  const ownAccess: Volume[] = mounted.has(apiAccessMount.name) ? [apiAccessVolume()] : [];
  const added = [...ownAccess, ...mode.volumes(), ...proxyVolumes()];
  const addedNames = added.map(byName);
  const theirs = (pod.spec.volumes ?? []).map((volume) =>
    mounted.has(volume.name) && !addedNames.includes(volume.name) ? trustingMesh(volume, pod) : volume,
  );
  return {
    pod: { ...pod, spec: { ...pod.spec, volumes: withEntries(theirs, added, byName) } },
    added: addedNames,
    trusting: theirs.map(byName).filter((name) => mounted.has(name) && !addedNames.includes(name)),
  };
}

function placeProxy(pod: Pod, proxy: Container, { nativeSidecars }: InjectionRequest): Pod {
  const { initContainers, containers: apps } = pod.spec;
  return {
    ...pod,
    spec: nativeSidecars
      ? { ...pod.spec, initContainers: entriesFirst([proxy], initContainers, byName) }
      : { ...pod.spec, containers: entriesFirst([proxy], apps, byName) },
  };
}

function withMarks(pod: Pod, record: InjectionRecord): Pod {
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: {
        ...pod.metadata.labels,
        [labels.shardingConfigInjected]: record.shard,
        [labels.watching]: "true",
      },
      annotations: { ...pod.metadata.annotations, [annotations.injected]: JSON.stringify(record) },
    },
  };
}

function warningsAbout(pod: Pod, { nativeSidecars }: InjectionRequest): string[] {
  const warnings: string[] = [];
  const blind = pod.spec.containers.filter(
    (container) => !isProxy(container) && serviceAccountMount(container) === undefined,
  );
  if (pod.spec.automountServiceAccountToken === false && blind.length > 0) {
    warnings.push(
      `automountServiceAccountToken is false: ${blind.map(byName).join(", ")} got no token nor CA for the proxy; mount a projected volume at ${proxyPaths.serviceAccountDirectory} or set it to true`,
    );
  }
  if (!nativeSidecars && (pod.spec.initContainers ?? []).length > 0) {
    warnings.push("init containers run before the proxy and reach the API server directly, unsharded");
  }
  return warnings;
}
