import { annotations, labels, proxyPaths } from "#api/names";
import { byNameAddress, caughtByName } from "./by-name.ts";
import { readEnvInject } from "./env-inject.ts";
import type { InjectionMode, InjectionRecord, InjectionRequest } from "./injection-request.ts";
import { byName, entriesFirst, withEntries } from "./keyed-list.ts";
import { shareLogs } from "./log-path.ts";
import { envMode } from "./modes/env.ts";
import { iptablesMode } from "./modes/iptables.ts";
import { kubeconfigMode } from "./modes/kubeconfig.ts";
import type { Mode, ModeFactory } from "./modes/mode.ts";
import { containersOf, isProxy, isTheirs } from "./our-containers.ts";
import type { Container, Pod, Volume } from "./pod.ts";
import { proxyContainer } from "./proxy-container.ts";
import { readProxyWishes } from "./proxy-wishes.ts";
import { refuseImpossible } from "./refuse-pod.ts";
import { reviewRelay } from "./review-relay.ts";
import {
  apiAccessMount,
  apiAccessVolume,
  proxyVolumes,
  serviceAccountMount,
  trustingMesh,
} from "./volumes.ts";

export interface Injection {
  readonly pod: Pod;
  readonly record: InjectionRecord;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

const modes: Record<InjectionMode, ModeFactory> = {
  env: envMode,
  kubeconfig: kubeconfigMode,
  iptables: iptablesMode,
};

/**
 * Puts the proxy into a pod and leads the operator's containers to it. Pure and idempotent: applied to its
 * own result, also after others have added containers to it, it only does what is still missing. What the
 * user set stays, but for the API server's address and the CA.
 *
 * @throws INJECTION_REFUSED when the pod can't be run with a proxy, with field and hint
 */
export function inject(pod: Pod, request: InjectionRequest): Injection {
  refuseImpossible(pod, request);
  const mode = modes[request.mode](request, pod);
  const present = containersOf(pod);
  const apps = withoutOurs(pod);
  const appContainers = [...apps.spec.containers, ...(apps.spec.initContainers ?? [])];
  const wishes = readProxyWishes(apps, appContainers, present.find(isProxy));
  // In mode iptables the name's address is caught, whoever looks it up.
  const byName = request.byName && request.mode !== "iptables";
  const alsoListen = [...(mode.alsoListen ?? []), ...(byName ? [byNameAddress] : [])];
  const relay = reviewRelay(apps, request);
  const proxy = proxyContainer(request, { ...wishes, relay, alsoListen }, present.find(isProxy));
  // Nothing of a container of that name stays: with a command or a mount of the user it would be theirs, and root.
  const { init } = mode;
  const routed = routeContainers(withInjectedEnv(apps), request, mode);
  const withVolumes = withTrust(routed.pod, mode);
  const named = byName ? caughtByName(withVolumes.pod, wishes.upstream) : withVolumes.pod;
  const done = shareLogs(placeOurs(named, { proxy, init }, request));
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

function withoutOurs(pod: Pod): Pod {
  const { initContainers, ...spec } = pod.spec;
  const kept = initContainers?.filter(isTheirs);
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers.filter(isTheirs),
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
    containersOf(pod).flatMap((container) => serviceAccountMount(container)?.name ?? []),
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

interface Ours {
  readonly proxy: Container;
  readonly init: Container | undefined;
}

/**
 * A native sidecar stands before all that shall go through it, and the rules before the sidecar. A proxy that is a
 * plain container starts after the init containers: rules that stood before these would lead them to nobody.
 */
function placeOurs(pod: Pod, { proxy, init }: Ours, { nativeSidecars }: InjectionRequest): Pod {
  const { initContainers, containers: apps } = pod.spec;
  const inits = init === undefined ? [] : [init];
  if (nativeSidecars) {
    const first = entriesFirst([...inits, proxy], initContainers, byName);
    return { ...pod, spec: { ...pod.spec, initContainers: first } };
  }
  const last = init === undefined ? initContainers : [...(initContainers ?? []), init];
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: entriesFirst([proxy], apps, byName),
      ...(last === undefined ? {} : { initContainers: last }),
    },
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
    (container) => isTheirs(container) && serviceAccountMount(container) === undefined,
  );
  if (pod.spec.automountServiceAccountToken === false && blind.length > 0) {
    warnings.push(
      `automountServiceAccountToken is false: ${blind.map(byName).join(", ")} got no token nor CA for the proxy; mount a projected volume at ${proxyPaths.serviceAccountDirectory} or set it to true`,
    );
  }
  if (!nativeSidecars && (pod.spec.initContainers ?? []).length > 0) {
    warnings.push("init containers run before the proxy and reach the API server directly, unsharded");
  }
  const { restartPolicy = "Always" } = pod.spec;
  if (!nativeSidecars && restartPolicy !== "Always") {
    warnings.push(
      `restartPolicy is ${restartPolicy}: the proxy goes on when the other containers have ended, so the pod never completes; it does where the manager injects native sidecars`,
    );
  }
  return warnings;
}
