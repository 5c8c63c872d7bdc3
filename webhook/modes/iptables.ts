import { annotations, containers, environment, labels, podSecurityEnforce } from "#api/names";
import { ports, proxyUid } from "#api/ports";
import { type HostAndPort, printAddress } from "#runtime/setting-types";
import { type InjectionRequest, refusal } from "../injection-request.ts";
import { containersOf, isTheirs } from "../our-containers.ts";
import type { Container, EnvVar, Pod } from "../pod.ts";
import type { Mode } from "./mode.ts";

const useEnv = `use the annotation ${annotations.proxyMode}: "env", which needs no rights and catches no traffic`;

/** Levels that admit NET_ADMIN; every other one refuses the init container. */
const admitting = ["privileged", undefined];

/**
 * Redirects what the pod sends to the API server, whatever its clients were told: the init container
 * `ctrlmesh-init` makes the rules (`ctrlmesh init`), and the operator's containers stay as they are but for the CA.
 *
 * The addresses are those of the Service `kubernetes` as the manager reads it at this moment, of both IP families;
 * the init container adds the one that the kubelet gives it. Without the first a dual-stack Service would be caught
 * in one family only, without the second a view that differs from the node's would leave a way round the proxy.
 */
export function iptablesMode(request: InjectionRequest, pod: Pod): Mode {
  const { apiServer, podSecurity, settings } = request;
  if (apiServer.length === 0) {
    throw refusal(
      "Service default/kubernetes",
      "it has no address, so mode iptables has nothing to redirect",
      useEnv,
    );
  }
  if (!admitting.includes(podSecurity)) {
    throw refusal(
      `namespace metadata.labels[${podSecurityEnforce}]`,
      `Pod Security "${podSecurity}" forbids the capability NET_ADMIN, which ${containers.init} needs`,
      `set the label to "privileged", or ${useEnv}`,
    );
  }
  refuseProxysUser(pod);
  return {
    volumes: () => [],
    route: (container, _pod, where) => {
      refuseOtherApiServer(container, apiServer, where);
      return { container, kubeconfigFlag: false };
    },
    init: initContainer(apiServer, settings),
    alsoListen: apiServer.some(({ host }) => host.includes(":"))
      ? [{ host: "::1", port: ports.proxyApiserver }]
      : [],
  };
}

function initContainer(
  apiServer: readonly HostAndPort[],
  { image, imagePullPolicy, resources, iptablesBackend }: InjectionRequest["settings"],
): Container {
  return {
    name: containers.init,
    image,
    imagePullPolicy,
    args: [
      "init",
      `--api-server=${apiServer.map(printAddress).join(",")}`,
      `--iptables-backend=${iptablesBackend}`,
    ],
    // It runs alone and is over before the proxy starts, so it adds nothing to what the pod asks for.
    resources,
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: {
        drop: ["ALL"],
        add: iptablesBackend === "legacy" ? ["NET_ADMIN", "NET_RAW"] : ["NET_ADMIN"],
      },
      seccompProfile: { type: "RuntimeDefault" },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** Whoever runs as the proxy's user goes round it. The user of an image can't be seen from here. */
function refuseProxysUser(pod: Pod): void {
  const users: readonly [where: string, user: number | undefined][] = [
    ["spec.securityContext", pod.spec.securityContext?.runAsUser],
    ...containersOf(pod)
      .filter(isTheirs)
      .map(({ name, securityContext }): [string, number | undefined] => [
        `container "${name}": securityContext`,
        securityContext?.runAsUser,
      ]),
  ];
  const found = users.find(([, user]) => user === proxyUid);
  if (found === undefined) return;
  throw refusal(
    `${found[0]}.runAsUser`,
    `${proxyUid} is the user of the proxy, whose traffic is not redirected`,
    "run the operator as another user",
  );
}

/** An address that is not redirected would be reached without the proxy. */
function refuseOtherApiServer(
  { env = [] }: Container,
  apiServer: readonly HostAndPort[],
  where: string,
): void {
  const isKnown = ({ name, value }: EnvVar): boolean => {
    if (name === environment.kubernetesServiceHost) return apiServer.some(({ host }) => host === value);
    if (name !== environment.kubernetesServicePort) return true;
    return apiServer.some(({ port }) => String(port) === value);
  };
  const index = env.findIndex((variable) => !isKnown(variable));
  const other = env[index];
  if (other === undefined) return;
  throw refusal(
    `${where}.env[${index}]`,
    `${other.name} names an API server that is not at ${apiServer.map(printAddress).join(", ")}, and mode iptables catches that one only`,
    `take the variable away, or use the annotation ${annotations.proxyMode}: "env" without the label ${labels.enableIptables}`,
  );
}
