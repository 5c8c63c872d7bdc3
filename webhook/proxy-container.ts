import { containers, environment } from "#api/names";
import { ports, proxyUid } from "#api/ports";
import { type HostAndPort, printAddress } from "#runtime/setting-types";
import type { InjectionRequest, Resources } from "./injection-request.ts";
import { byMountPath, byName, entriesFirst } from "./keyed-list.ts";
import type { Container, EnvVar } from "./pod.ts";
import type { ReviewRelay } from "./review-relay.ts";
import { proxyMounts } from "./volumes.ts";

/** What annotations of the pod say about its proxy. */
export interface ProxyWishes {
  readonly resources: Resources | undefined;
  readonly env: readonly EnvVar[];
  /** API server that the operator's containers name; empty: the one of the cluster. */
  readonly upstream: readonly EnvVar[];
  /** What it takes to stand before the operator's own webhook. */
  readonly relay: ReviewRelay;
  /** Where the proxy listens besides 127.0.0.1:5443. */
  readonly alsoListen: readonly HostAndPort[];
}

/** Names that the pod's annotations and the manager's extra environment may not set. */
export function isReservedForProxy(name: string): boolean {
  return name.startsWith("KUBERNETES_SERVICE_") || name.startsWith("CTRLMESH_") || reserved.has(name);
}

const reserved = new Set<string>([
  environment.podName,
  environment.podNamespace,
  environment.podUid,
  environment.podIp,
]);

const field = (name: string, fieldPath: string): EnvVar => ({
  name,
  valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } },
});

/**
 * The container `ctrlmesh-proxy`, fit for Pod Security `restricted`. One that is there from an earlier call
 * keeps what others added to it: its further variables and mounts.
 */
export function proxyContainer(
  request: InjectionRequest,
  wishes: ProxyWishes,
  present: Container | undefined,
): Container {
  const { settings, nativeSidecars } = request;
  const env = [
    field(environment.podName, "metadata.name"),
    field(environment.podNamespace, "metadata.namespace"),
    field(environment.podUid, "metadata.uid"),
    field(environment.podIp, "status.podIP"),
    { name: "CTRLMESH_LISTEN_HOST", value: "127.0.0.1" },
    { name: "CTRLMESH_MANAGER_ADDRESS", value: settings.managerAddress },
    { name: "CTRLMESH_MANAGER_NAMESPACE", value: settings.managerNamespace },
    ...(wishes.alsoListen.length === 0
      ? []
      : [{ name: "CTRLMESH_ALSO_LISTEN", value: wishes.alsoListen.map(printAddress).join(",") }]),
    ...(settings.logLevel === undefined ? [] : [{ name: "CTRLMESH_LOG_LEVEL", value: settings.logLevel }]),
    ...wishes.relay.env,
    ...wishes.upstream,
    ...Object.entries(settings.extraEnv)
      .filter(([name]) => !isReservedForProxy(name))
      .map(([name, value]) => ({ name, value })),
  ];
  return {
    ...present,
    name: containers.proxy,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ["proxy"],
    env: entriesFirst([...entriesFirst(wishes.env, env, byName)].sort(fieldsFirst), present?.env, byName),
    ports: [
      { name: "ctrlmesh-admin", containerPort: ports.proxyAdmin, protocol: "TCP" },
      ...wishes.relay.ports,
    ],
    resources: wishes.resources ?? settings.resources,
    volumeMounts: entriesFirst(
      [...proxyMounts(), ...wishes.relay.mounts],
      present?.volumeMounts,
      byMountPath,
    ),
    ...gate(nativeSidecars),
    readinessProbe: { httpGet: ready, periodSeconds: 3, timeoutSeconds: 2 },
    securityContext,
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** Variables that others refer to come first: `$(POD_IP)` only sees earlier ones. */
function fieldsFirst(left: EnvVar, right: EnvVar): number {
  return Number(reserved.has(right.name)) - Number(reserved.has(left.name));
}

/** The kubelet asks the pod's address, where only the admin port listens. */
const ready = { path: "/readyz", port: ports.proxyAdmin, scheme: "HTTP" };

/**
 * What holds the operator back until its rules are loaded. Neither gives up: a proxy that waits for its
 * manager is no failure, and a killed one would end in a back-off of minutes after the manager is back.
 */
function gate(nativeSidecars: boolean) {
  return nativeSidecars
    ? {
        restartPolicy: "Always",
        startupProbe: {
          httpGet: ready,
          periodSeconds: 1,
          timeoutSeconds: 2,
          failureThreshold: 2_147_483_647,
        },
      }
    : { lifecycle: { postStart: { exec: { command: ["ctrlmesh", "wait-ready"] } } } };
}

const securityContext = {
  runAsUser: proxyUid,
  runAsGroup: proxyUid,
  runAsNonRoot: true,
  privileged: false,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};
