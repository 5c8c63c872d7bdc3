import { environment, labels, proxyPaths, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import { refusal } from "../injection-request.ts";
import { byName, withEntries } from "../keyed-list.ts";
import type { Container, Pod, VolumeMount } from "../pod.ts";
import { routeByEnvironment } from "./env.ts";
import type { Mode, RoutedContainer } from "./mode.ts";

const filePath = `${wellKnown.fakeKubeconfigMountPath}/${wellKnown.fakeKubeconfigKey}`;

/**
 * The kubeconfig of every injected pod of a namespace. It names the pod's own namespace and token, so an
 * operator that takes either from it stays who and where it is.
 *
 * The token stands there under two names: `tokenFile` is that of the API (client-go and most others), `token-file`
 * the only one that the JavaScript client looks for (once, at its start: the API server lets tokens of this life
 * pass for a year, for such clients). Either ignores the other's name.
 */
export function kubeconfigText(namespace: string): string {
  const name = "ctrlmesh";
  const { serviceAccountDirectory } = proxyPaths;
  const tokenFile = `${serviceAccountDirectory}/token`;
  return `${JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      clusters: [
        {
          name,
          cluster: {
            server: `https://127.0.0.1:${ports.proxyApiserver}`,
            "certificate-authority": `${serviceAccountDirectory}/ca.crt`,
          },
        },
      ],
      users: [{ name, user: { tokenFile, "token-file": tokenFile } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    },
    null,
    2,
  )}\n`;
}

/**
 * Gives the operator a kubeconfig: `KUBECONFIG`, and the flag `--kubeconfig` where the container has it. It is
 * never added: containers that don't know it would not start. The variables of mode `env` are set as well,
 * for clients that build an in-cluster configuration whatever else they are given.
 */
export function kubeconfigMode(): Mode {
  return {
    volumes: () => [
      {
        name: wellKnown.fakeKubeconfigConfigMap,
        configMap: { name: wellKnown.fakeKubeconfigConfigMap },
      },
    ],
    route,
  };
}

function route(container: Container, pod: Pod, where: string): RoutedContainer {
  const podLabels = pod.metadata.labels ?? {};
  const routed = { ...routeByEnvironment(container), volumeMounts: withMount(container, where) };
  const withEnv =
    podLabels[labels.disableFakeKubeconfigEnv] === "true"
      ? routed
      : {
          ...routed,
          env: withEntries(routed.env, [{ name: environment.kubeconfig, value: filePath }], byName),
        };
  return podLabels[labels.disableFakeKubeconfigArg] === "true"
    ? { container: withEnv, kubeconfigFlag: false }
    : withFlag(withEnv);
}

function withMount(container: Container, where: string): VolumeMount[] {
  const mount: VolumeMount = {
    name: wellKnown.fakeKubeconfigConfigMap,
    mountPath: wellKnown.fakeKubeconfigMountPath,
    readOnly: true,
  };
  const mounts = container.volumeMounts ?? [];
  const index = mounts.findIndex(({ mountPath }) => mountPath === mount.mountPath);
  const taken = mounts[index];
  if (taken === undefined) return [...mounts, mount];
  if (taken.name === mount.name) return mounts;
  throw refusal(
    `${where}.volumeMounts[${index}]`,
    `volume "${taken.name}" is mounted at ${mount.mountPath}, where mode kubeconfig puts its file`,
    'mount it elsewhere, or use the annotation proxy-mode: "env"',
  );
}

const flag = /^--?kubeconfig$/;
const flagWithValue = /^--?kubeconfig=/;

/** Rewrites the flag in both forms, across command and args, which are one command line to the container. */
function withFlag(container: Container): RoutedContainer {
  const line = [...(container.command ?? []), ...(container.args ?? [])];
  const rewritten = line.map((word, index) => {
    if (flagWithValue.test(word)) return `--kubeconfig=${filePath}`;
    return index > 0 && flag.test(line[index - 1] ?? "") ? filePath : word;
  });
  const kubeconfigFlag = line.some(
    (word, index) => flagWithValue.test(word) || (flag.test(word) && index + 1 < line.length),
  );
  if (!kubeconfigFlag) return { container, kubeconfigFlag };
  const commandLength = container.command?.length ?? 0;
  return {
    container: {
      ...container,
      ...(container.command === undefined ? {} : { command: rewritten.slice(0, commandLength) }),
      ...(container.args === undefined ? {} : { args: rewritten.slice(commandLength) }),
    },
    kubeconfigFlag,
  };
}
