import { arrayOf, isObject, type JsonObject, objectOf, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";

/** Defaults of built-in kinds, as the API server has them, for the fields that anything here reads. */

function fill(target: JsonObject, defaults: JsonObject): void {
  for (const [field, value] of Object.entries(defaults)) target[field] ??= structuredClone(value);
}

/** An object field that is there even when empty. */
function part(target: JsonObject, field: string): JsonObject {
  const existing = target[field];
  if (isObject(existing)) return existing;
  const made: JsonObject = {};
  target[field] = made;
  return made;
}

export function podDefaults(pod: KubeObject): void {
  podSpecDefaults(part(pod, "spec"));
}

export function podSpecDefaults(spec: JsonObject): void {
  fill(spec, {
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    securityContext: {},
    schedulerName: "default-scheduler",
  });
  // Both names of one field.
  const account = stringOf(spec.serviceAccountName) || stringOf(spec.serviceAccount);
  if (account !== "") Object.assign(spec, { serviceAccountName: account, serviceAccount: account });
  for (const container of [...arrayOf(spec.containers), ...arrayOf(spec.initContainers)])
    if (isObject(container)) containerDefaults(container);
  for (const volume of arrayOf(spec.volumes)) if (isObject(volume)) volumeDefaults(volume);
}

function containerDefaults(container: JsonObject): void {
  const image = stringOf(container.image);
  const isLatest = !image.includes("@") && (!/:[^/]*$/.test(image) || image.endsWith(":latest"));
  fill(container, {
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: isLatest ? "Always" : "IfNotPresent",
  });
  const resources = objectOf(container.resources);
  // What is limited and not requested is requested up to the limit.
  if (isObject(resources.limits)) fill(part(resources, "requests"), resources.limits);
  for (const port of arrayOf(container.ports)) if (isObject(port)) fill(port, { protocol: "TCP" });
  for (const variable of arrayOf(container.env)) {
    const reference = objectOf(objectOf(variable).valueFrom).fieldRef;
    if (isObject(reference)) fill(reference, { apiVersion: "v1" });
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    const probe = container[name];
    if (isObject(probe)) probeDefaults(probe);
  }
}

function probeDefaults(probe: JsonObject): void {
  fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  if (isObject(probe.httpGet)) fill(probe.httpGet, { path: "/", scheme: "HTTP" });
  if (isObject(probe.grpc)) fill(probe.grpc, { service: "" });
}

const volumeSources = ["configMap", "secret", "downwardAPI", "projected"];

function volumeDefaults(volume: JsonObject): void {
  if (Object.keys(volume).length === 1) volume.emptyDir = {};
  for (const source of volumeSources) {
    const value = volume[source];
    if (isObject(value)) fill(value, { defaultMode: 420 });
  }
  if (isObject(volume.hostPath)) fill(volume.hostPath, { type: "" });
  const sources = [...arrayOf(objectOf(volume.projected).sources), { downwardAPI: volume.downwardAPI }];
  for (const source of sources) {
    const { serviceAccountToken, downwardAPI } = objectOf(source);
    if (isObject(serviceAccountToken)) fill(serviceAccountToken, { expirationSeconds: 3600 });
    for (const file of arrayOf(objectOf(downwardAPI).items)) {
      const reference = objectOf(file).fieldRef;
      if (isObject(reference)) fill(reference, { apiVersion: "v1" });
    }
  }
}

/** By this label, which nobody can take off, selectors of webhooks and policies can name a namespace. */
export function namespaceDefaults({ metadata }: KubeObject): void {
  const { name = "", labels } = metadata;
  if (name !== "") metadata.labels = { ...labels, "kubernetes.io/metadata.name": name };
}

function templateDefaults(spec: JsonObject): void {
  const template = part(spec, "template");
  part(template, "metadata");
  podSpecDefaults(part(template, "spec"));
}

export function statefulSetDefaults(set: KubeObject): void {
  const spec = part(set, "spec");
  templateDefaults(spec);
  fill(spec, {
    replicas: 1,
    podManagementPolicy: "OrderedReady",
    revisionHistoryLimit: 10,
    persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
    updateStrategy: {},
  });
  const strategy = part(spec, "updateStrategy");
  fill(strategy, { type: "RollingUpdate" });
  if (strategy.type === "RollingUpdate") fill(part(strategy, "rollingUpdate"), { partition: 0 });
  for (const claim of arrayOf(spec.volumeClaimTemplates)) {
    if (!isObject(claim)) continue;
    fill(claim, { apiVersion: "v1", kind: "PersistentVolumeClaim" });
    fill(part(claim, "spec"), { volumeMode: "Filesystem" });
    fill(part(claim, "status"), { phase: "Pending" });
  }
}

export function deploymentDefaults(deployment: KubeObject): void {
  const spec = part(deployment, "spec");
  templateDefaults(spec);
  fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {} });
  const strategy = part(spec, "strategy");
  fill(strategy, { type: "RollingUpdate" });
  if (strategy.type === "RollingUpdate")
    fill(part(strategy, "rollingUpdate"), { maxUnavailable: "25%", maxSurge: "25%" });
}

export function replicaSetDefaults(set: KubeObject): void {
  const spec = part(set, "spec");
  templateDefaults(spec);
  fill(spec, { replicas: 1 });
}

export function serviceDefaults(service: KubeObject): void {
  const spec = part(service, "spec");
  fill(spec, { type: "ClusterIP", sessionAffinity: "None", internalTrafficPolicy: "Cluster" });
  for (const port of arrayOf(spec.ports)) {
    if (!isObject(port)) continue;
    fill(port, { protocol: "TCP", targetPort: port.port });
  }
}

/** `stringData` is written as base64 into `data` and never kept. */
export function secretDefaults(secret: KubeObject): void {
  fill(secret, { type: "Opaque" });
  if (isObject(secret.stringData)) {
    const encoded = Object.entries(secret.stringData).map(([key, value]) => [
      key,
      Buffer.from(stringOf(value)).toString("base64"),
    ]);
    secret.data = { ...objectOf(secret.data), ...Object.fromEntries(encoded) };
  }
  delete secret.stringData;
}

export function webhookDefaults(configuration: KubeObject): void {
  const isMutating = configuration.kind.startsWith("Mutating");
  for (const webhook of arrayOf(configuration.webhooks)) {
    if (!isObject(webhook)) continue;
    fill(webhook, {
      failurePolicy: "Fail",
      matchPolicy: "Equivalent",
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
      ...(isMutating ? { reinvocationPolicy: "Never" } : {}),
    });
    const { service } = objectOf(webhook.clientConfig);
    if (isObject(service)) fill(service, { port: 443 });
    for (const rule of arrayOf(webhook.rules)) if (isObject(rule)) fill(rule, { scope: "*" });
  }
}

export function bindingDefaults(binding: KubeObject): void {
  for (const subject of arrayOf(binding.subjects)) {
    if (!isObject(subject)) continue;
    fill(subject, { apiGroup: subject.kind === "ServiceAccount" ? "" : "rbac.authorization.k8s.io" });
    if (subject.apiGroup === "") delete subject.apiGroup;
  }
  if (isObject(binding.roleRef)) fill(binding.roleRef, { apiGroup: "rbac.authorization.k8s.io" });
}

export function claimDefaults(claim: KubeObject): void {
  fill(part(claim, "spec"), { volumeMode: "Filesystem" });
}

export function definitionDefaults(definition: KubeObject): void {
  const spec = part(definition, "spec");
  fill(part(spec, "conversion"), { strategy: "None" });
  const names = part(spec, "names");
  const kind = stringOf(names.kind);
  fill(names, { singular: kind.toLowerCase(), listKind: `${kind}List` });
}
