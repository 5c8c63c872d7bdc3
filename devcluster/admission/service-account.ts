import { randomBytes } from "node:crypto";
import { arrayOf, at, isObject, type JsonObject, objectOf, stringOf } from "../json.ts";
import { forbidden } from "../status-error.ts";
import type { Storage } from "../storage.ts";
import type { AdmissionStep } from "./attributes.ts";

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
/** One hour, and a little more by which the server tells these tokens from others. */
const tokenLifeSeconds = 3607;

/**
 * Gives a new pod its service account (default: "default") and the projected volume with token, CA and namespace,
 * mounted in every container that mounts nothing there itself.
 */
export function serviceAccountAdmission(storage: Storage): AdmissionStep {
  return {
    mutate: async ({ operation, definition, subresource, namespace, object }) => {
      if (operation !== "CREATE" || definition.collection !== "pods" || subresource !== "") return undefined;
      if (
        object === undefined ||
        at(object.metadata.annotations, "kubernetes.io/config.mirror") !== undefined
      )
        return undefined;
      const spec = objectOf(object.spec);
      const name = stringOf(spec.serviceAccountName) || "default";
      const account = storage.get("serviceaccounts", `${namespace}/${name}`);
      if (account === undefined) {
        const why = `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`;
        throw forbidden(definition, object.metadata.name ?? "", why);
      }
      const next: JsonObject = { ...spec, serviceAccountName: name, serviceAccount: name };
      const automount =
        spec.automountServiceAccountToken ?? account.object.automountServiceAccountToken ?? true;
      return { ...object, spec: withTolerations(automount === false ? next : withToken(next)) };
    },
  };
}

function withToken(spec: JsonObject): JsonObject {
  const existing = arrayOf(spec.volumes).find((volume) =>
    stringOf(at(volume, "name")).startsWith("kube-api-access-"),
  );
  const name = stringOf(at(existing, "name")) || `kube-api-access-${randomName()}`;
  const mount = (container: unknown): unknown => {
    if (!isObject(container)) return container;
    const mounts = arrayOf(container.volumeMounts);
    if (mounts.some((each) => at(each, "mountPath") === mountPath)) return container;
    return { ...container, volumeMounts: [...mounts, { name, readOnly: true, mountPath }] };
  };
  const containers = arrayOf(spec.containers).map(mount);
  const initContainers = arrayOf(spec.initContainers).map(mount);
  const isUsed = [...containers, ...initContainers].some((container) =>
    arrayOf(at(container, "volumeMounts")).some((each) => at(each, "name") === name),
  );
  const volumes = arrayOf(spec.volumes);
  return {
    ...spec,
    ...(isUsed && existing === undefined ? { volumes: [...volumes, tokenVolume(name)] } : {}),
    containers,
    ...(initContainers.length === 0 ? {} : { initContainers }),
  };
}

function tokenVolume(name: string): JsonObject {
  const sources = [
    { serviceAccountToken: { expirationSeconds: tokenLifeSeconds, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
    {
      downwardAPI: {
        items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
      },
    },
  ];
  return { name, projected: { sources, defaultMode: 420 } };
}

/** How long a pod stays on a node that went away; with the priority, what other default plugins add. */
function withTolerations(spec: JsonObject): JsonObject {
  const tolerations = [...arrayOf(spec.tolerations)];
  for (const key of ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]) {
    if (tolerations.some((each) => at(each, "key") === key)) continue;
    tolerations.push({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 });
  }
  return {
    ...spec,
    tolerations,
    priority: spec.priority ?? 0,
    preemptionPolicy: spec.preemptionPolicy ?? "PreemptLowerPriority",
  };
}

function randomName(): string {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  return Array.from(randomBytes(5), (byte) => alphabet[byte % alphabet.length]).join("");
}
