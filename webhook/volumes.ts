import { caBundleKeys, containers, controlAudience, proxyPaths, wellKnown } from "#api/names";
import { refusal } from "./injection-request.ts";
import type { Container, Pod, Projection, Volume, VolumeMount } from "./pod.ts";

/** Names of the volumes that injection adds. */
export const volumeNames = {
  state: "ctrlmesh-state",
  control: "ctrlmesh-control",
  /** The proxy's own way to the API server: the pod's token and the cluster's CA. */
  upstream: "ctrlmesh-upstream",
  /** For the operator's containers, where no volume of the service account is mounted. */
  apiAccess: "ctrlmesh-api-access",
} as const;

/** A token is renewed by the kubelet at 80 % of this. */
const controlTokenSeconds = 3600;
/** What the API server's own service account volume asks for. */
const apiTokenSeconds = 3607;

const token = (expirationSeconds: number, audience?: string) => ({
  serviceAccountToken: { path: "token", expirationSeconds, ...(audience === undefined ? {} : { audience }) },
});
const bundle = (key: string): Projection => ({
  configMap: { name: wellKnown.caBundleConfigMap, items: [{ key, path: "ca.crt" }] },
});
const namespaceFile: Projection = {
  downwardAPI: {
    items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
  },
};

/** Volumes of the proxy container. */
export function proxyVolumes(): Volume[] {
  return [
    { name: volumeNames.state, emptyDir: {} },
    {
      name: volumeNames.control,
      projected: { sources: [token(controlTokenSeconds, controlAudience), bundle(caBundleKeys.mesh)] },
    },
    {
      name: volumeNames.upstream,
      projected: { sources: [token(apiTokenSeconds), bundle(caBundleKeys.cluster), namespaceFile] },
    },
  ];
}

export function proxyMounts(): VolumeMount[] {
  return [
    { name: volumeNames.state, mountPath: proxyPaths.stateDirectory },
    { name: volumeNames.control, mountPath: proxyPaths.controlTokenDirectory, readOnly: true },
    { name: volumeNames.upstream, mountPath: proxyPaths.serviceAccountDirectory, readOnly: true },
  ];
}

/** Whether a container mounts something as the folder of its service account. */
export function serviceAccountMount(container: Container): VolumeMount | undefined {
  return container.volumeMounts?.find(
    ({ mountPath }) => mountPath.replace(/\/+$/, "") === proxyPaths.serviceAccountDirectory,
  );
}

/** The volume that takes the place of the service account's where there is none. */
export function apiAccessVolume(): Volume {
  return {
    name: volumeNames.apiAccess,
    projected: { sources: [token(apiTokenSeconds), bundle(caBundleKeys.all), namespaceFile] },
  };
}

export const apiAccessMount: VolumeMount = {
  name: volumeNames.apiAccess,
  mountPath: proxyPaths.serviceAccountDirectory,
  readOnly: true,
};

/**
 * The same volume with a `ca.crt` that also trusts the mesh CA. Token (its audience and life too), namespace
 * and all that the user projects stay; a Secret becomes the projection of its token.
 *
 * @throws INJECTION_REFUSED when the volume can hold no such file
 */
export function trustingMesh(volume: Volume, pod: Pod): Volume {
  if (volume.projected !== undefined) {
    const sources = withBundle(volume.projected.sources ?? []);
    return { ...volume, projected: { ...volume.projected, sources } };
  }
  if (volume.secret?.secretName !== undefined) {
    const { secret, ...rest } = volume;
    const items = (secret.items ?? [keyAsPath("token"), keyAsPath("namespace")]).filter(
      ({ path }) => path !== "ca.crt",
    );
    return {
      ...rest,
      projected: { sources: withBundle([{ secret: { name: volume.secret.secretName, items } }]) },
    };
  }
  const index = pod.spec.volumes?.findIndex(({ name }) => name === volume.name) ?? -1;
  throw refusal(
    `spec.volumes[${index}]`,
    `volume "${volume.name}" at ${proxyPaths.serviceAccountDirectory} is neither projected nor a Secret, so the operator can't be made to trust ${containers.proxy}`,
    "use a projected volume there, or leave the mount to Kubernetes",
  );
}

const keyAsPath = (key: string) => ({ key, path: key });

/** Puts our `ca.crt` where another one was, or at the end. */
function withBundle(sources: readonly Projection[]): Projection[] {
  const ours = bundle(caBundleKeys.all);
  const stripped = sources.map(withoutCa);
  const place = stripped.findIndex((source, index) => source !== sources[index]);
  const kept = stripped.flatMap((source, index) => {
    const rest = source === undefined ? [] : [source];
    return index === place ? [...rest, ours] : rest;
  });
  return place < 0 ? [...kept, ours] : kept;
}

/** A source without its `ca.crt`; undefined when nothing is left of it, the same source when it had none. */
function withoutCa(source: Projection): Projection | undefined {
  const { configMap, secret } = source;
  if (configMap?.name === "kube-root-ca.crt" && configMap.items === undefined) return undefined;
  const projected = configMap ?? secret;
  const items = projected?.items?.filter(({ path }) => path !== "ca.crt");
  if (items === undefined || items.length === projected?.items?.length) return source;
  if (items.length === 0) return undefined;
  return configMap === undefined
    ? { ...source, secret: { ...secret, items } }
    : { ...source, configMap: { ...configMap, items } };
}
