import type { KubernetesObject } from "#api/meta";
import { caBundleKeys, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import { operatorNamespace } from "./digest-operators.ts";
import { kinds, type Mesh } from "./mesh.ts";
import { RawClient } from "./raw-client.ts";

const never = new AbortController().signal;

export interface TokenWish {
  readonly namespace?: string;
  readonly serviceAccount?: string;
  /** Pod that the token dies with; without it the token is bound to nothing. */
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly audience?: string;
  readonly expirationSeconds?: number;
}

/** A service account token by TokenRequest, as a kubelet asks for it. */
export async function requestToken(mesh: Mesh, wish: TokenWish): Promise<string> {
  const { namespace = operatorNamespace, serviceAccount = "digest-operator", pod, audience } = wish;
  const answer = (await mesh.client.raw(
    "POST",
    `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        expirationSeconds: wish.expirationSeconds ?? 3600,
        ...(audience === undefined ? {} : { audiences: [audience] }),
        ...(pod === undefined ? {} : { boundObjectRef: { kind: "Pod", apiVersion: "v1", ...pod } }),
      },
    },
    { signal: never },
  )) as { status: { token: string } };
  return answer.status.token;
}

export interface PodNow {
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
}

export async function readPod(mesh: Mesh, name: string, namespace = operatorNamespace): Promise<PodNow> {
  const { metadata, status } = await mesh.get(kinds.pods, namespace, name);
  return { name, uid: metadata?.uid ?? "", ip: (status as { podIP?: string } | undefined)?.podIP ?? "" };
}

/** Authorities that operators of a namespace trust: the cluster's and the mesh's. */
export async function trustedAuthorities(mesh: Mesh, namespace = operatorNamespace): Promise<string> {
  const bundle = await mesh.get(kinds.configMaps, namespace, wellKnown.caBundleConfigMap);
  return textOf(bundle, caBundleKeys.all);
}

/** A client that is to a pod's proxy what the pod's operator is: same address, same token, same trust. */
export async function clientAsOperator(mesh: Mesh, name: string): Promise<RawClient> {
  const pod = await readPod(mesh, name);
  const [ca, token] = await Promise.all([trustedAuthorities(mesh), requestToken(mesh, { pod })]);
  return new RawClient({ host: pod.ip, port: ports.proxyApiserver, ca, token });
}

export function textOf(configMap: KubernetesObject, key: string): string {
  return (configMap.data as Readonly<Record<string, string>> | undefined)?.[key] ?? "";
}
