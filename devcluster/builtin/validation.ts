import { forbiddenField, invalidValue, notSupported, required } from "../field-errors.ts";
import { arrayOf, at, isEqual, isObject, type JsonObject, objectOf, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { nameCauses } from "../metadata-rules.ts";
import type { Cause } from "../status-error.ts";

/** Rules of built-in kinds that a client can run into here. */

export function podCauses(pod: KubeObject): Cause[] {
  return podSpecCauses(objectOf(pod.spec), "spec");
}

function podSpecCauses(spec: JsonObject, path: string): Cause[] {
  const causes: Cause[] = [];
  const containers = arrayOf(spec.containers);
  if (containers.length === 0) causes.push(required(`${path}.containers`));
  const volumes = new Set(arrayOf(spec.volumes).map((volume) => stringOf(at(volume, "name"))));
  const names = new Set<string>();
  for (const [list, field] of [
    [arrayOf(spec.initContainers), "initContainers"],
    [containers, "containers"],
  ] as const) {
    for (const [index, container] of list.entries()) {
      const where = `${path}.${field}[${index}]`;
      const name = stringOf(at(container, "name"));
      if (name === "") causes.push(required(`${where}.name`));
      else causes.push(...nameCauses("label", name, `${where}.name`));
      if (name !== "" && names.has(name))
        causes.push({
          reason: "FieldValueDuplicate",
          message: `Duplicate value: ${JSON.stringify(name)}`,
          field: `${where}.name`,
        });
      names.add(name);
      if (stringOf(at(container, "image")) === "") causes.push(required(`${where}.image`));
      for (const [mountIndex, mount] of arrayOf(at(container, "volumeMounts")).entries()) {
        const volume = stringOf(at(mount, "name"));
        if (!volumes.has(volume))
          causes.push({
            reason: "FieldValueNotFound",
            message: `Not found: ${JSON.stringify(volume)}`,
            field: `${where}.volumeMounts[${mountIndex}].name`,
          });
      }
    }
  }
  return causes;
}

/** Fields of a running pod's spec that may change. */
const mutablePodFields = [
  ...["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"],
  ...["nodeName", "nodeSelector"],
];

export function podUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  if (isEqual(frozenPodSpec(next.spec), frozenPodSpec(previous.spec))) return [];
  return [
    forbiddenField(
      "spec",
      "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    ),
  ];
}

function frozenPodSpec(spec: unknown): JsonObject {
  const frozen: JsonObject = { ...objectOf(spec) };
  for (const field of mutablePodFields) delete frozen[field];
  for (const list of ["containers", "initContainers"])
    frozen[list] = arrayOf(frozen[list]).map((container) => ({ ...objectOf(container), image: "" }));
  return frozen;
}

/** Selector and template of everything that makes pods. */
export function workloadCauses(workload: KubeObject): Cause[] {
  const spec = objectOf(workload.spec);
  const template = objectOf(spec.template);
  const causes = podSpecCauses(objectOf(template.spec), "spec.template.spec");
  const selector = objectOf(spec.selector);
  const matchLabels = objectOf(selector.matchLabels);
  const isEmpty = Object.keys(matchLabels).length === 0 && arrayOf(selector.matchExpressions).length === 0;
  if (spec.selector === undefined) causes.push(required("spec.selector"));
  else if (isEmpty)
    causes.push(invalidValue("spec.selector", selector, "empty selector is invalid for workload"));
  const labels = objectOf(at(template, "metadata", "labels"));
  if (Object.entries(matchLabels).some(([key, value]) => labels[key] !== value))
    causes.push(
      invalidValue("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"),
    );
  const policy = at(template, "spec", "restartPolicy");
  if (policy !== "Always") causes.push(notSupported("spec.template.spec.restartPolicy", policy, ["Always"]));
  if (typeof spec.replicas === "number" && spec.replicas < 0)
    causes.push(invalidValue("spec.replicas", spec.replicas, "must be greater than or equal to 0"));
  return causes;
}

const mutableSetFields = [
  ...["replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"],
  ...["persistentVolumeClaimRetentionPolicy", "minReadySeconds"],
];

export function statefulSetUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  const frozen = (spec: unknown): JsonObject => {
    const rest = { ...objectOf(spec) };
    for (const field of mutableSetFields) delete rest[field];
    return rest;
  };
  if (isEqual(frozen(next.spec), frozen(previous.spec))) return [];
  return [
    forbiddenField(
      "spec",
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    ),
  ];
}

export function selectorUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  const selector = at(next.spec, "selector");
  return isEqual(selector, at(previous.spec, "selector"))
    ? []
    : [invalidValue("spec.selector", selector, "field is immutable")];
}

/** `immutable: true` of ConfigMaps and Secrets. */
export function immutableUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  if (previous.immutable !== true) return [];
  const detail = "field is immutable when `immutable` is set";
  const causes: Cause[] = [];
  if (next.immutable !== true) causes.push(forbiddenField("immutable", detail));
  for (const field of ["data", "binaryData"])
    if (!isEqual(next[field], previous[field])) causes.push(forbiddenField(field, detail));
  return causes;
}

export function secretUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  const causes = immutableUpdateCauses(next, previous);
  if (next.type !== previous.type) causes.push(invalidValue("type", next.type, "field is immutable"));
  return causes;
}

/** Keys of ConfigMaps and Secrets become file names. */
export function configKeyCauses(object: KubeObject): Cause[] {
  const causes: Cause[] = [];
  for (const field of ["data", "binaryData"]) {
    for (const key of Object.keys(objectOf(object[field]))) {
      if (!/^[-._a-zA-Z0-9]{1,253}$/.test(key) || key === "." || key === "..")
        causes.push(
          invalidValue(
            `${field}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        );
    }
  }
  return causes;
}

export function serviceCauses(service: KubeObject): Cause[] {
  const spec = objectOf(service.spec);
  const ports = arrayOf(spec.ports);
  if (ports.length === 0 && spec.clusterIP !== "None" && spec.type !== "ExternalName")
    return [required("spec.ports")];
  return ports.flatMap((port, index): Cause[] => {
    const number = at(port, "port");
    const isPort = typeof number === "number" && number >= 1 && number <= 65_535;
    const where = `spec.ports[${index}]`;
    const causes = isPort
      ? []
      : [invalidValue(`${where}.port`, number, "must be between 1 and 65535, inclusive")];
    if (ports.length > 1 && stringOf(at(port, "name")) === "") causes.push(required(`${where}.name`));
    return causes;
  });
}

export function leaseCauses(lease: KubeObject): Cause[] {
  const duration = at(lease.spec, "leaseDurationSeconds");
  const transitions = at(lease.spec, "leaseTransitions");
  const causes: Cause[] = [];
  if (typeof duration === "number" && duration <= 0)
    causes.push(invalidValue("spec.leaseDurationSeconds", duration, "must be greater than 0"));
  if (typeof transitions === "number" && transitions < 0)
    causes.push(invalidValue("spec.leaseTransitions", transitions, "must be greater than or equal to 0"));
  return causes;
}

export function roleCauses(role: KubeObject): Cause[] {
  return arrayOf(role.rules).flatMap((rule, index): Cause[] => {
    const where = `rules[${index}]`;
    const causes: Cause[] = [];
    if (arrayOf(at(rule, "verbs")).length === 0)
      causes.push(required(`${where}.verbs`, "verbs must contain at least one value"));
    if (arrayOf(at(rule, "nonResourceURLs")).length > 0) {
      if (role.kind === "Role")
        causes.push(
          invalidValue(
            `${where}.nonResourceURLs`,
            at(rule, "nonResourceURLs"),
            "namespaced rules cannot apply to non-resource URLs",
          ),
        );
      return causes;
    }
    for (const field of ["apiGroups", "resources"])
      if (arrayOf(at(rule, field)).length === 0)
        causes.push(
          required(
            `${where}.${field}`,
            `resource rules must supply at least one ${field === "apiGroups" ? "api group" : "resource"}`,
          ),
        );
    return causes;
  });
}

export function bindingUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  return isEqual(next.roleRef, previous.roleRef)
    ? []
    : [invalidValue("roleRef", next.roleRef, "cannot change roleRef")];
}

/** Only what the webhook path here can do is accepted: a configuration that would be ignored is worse than none. */
export function webhookCauses(configuration: KubeObject): Cause[] {
  return arrayOf(configuration.webhooks).flatMap((webhook, index): Cause[] => {
    if (!isObject(webhook)) return [];
    const where = `webhooks[${index}]`;
    const causes: Cause[] = [];
    if (stringOf(webhook.name).split(".").length < 3)
      causes.push(
        invalidValue(
          `${where}.name`,
          webhook.name,
          "should be a domain with at least three segments separated by dots",
        ),
      );
    if (arrayOf(webhook.matchConditions).length > 0)
      causes.push(
        forbiddenField(`${where}.matchConditions`, "match conditions are not evaluated by this server"),
      );
    if (webhook.sideEffects !== "None" && webhook.sideEffects !== "NoneOnDryRun")
      causes.push(notSupported(`${where}.sideEffects`, webhook.sideEffects, ["None", "NoneOnDryRun"]));
    if (!arrayOf(webhook.admissionReviewVersions).includes("v1"))
      causes.push(
        invalidValue(
          `${where}.admissionReviewVersions`,
          webhook.admissionReviewVersions,
          "must include at least one of v1, v1beta1",
        ),
      );
    const { url, service } = objectOf(webhook.clientConfig);
    if ((url === undefined) === (service === undefined))
      causes.push(required(`${where}.clientConfig`, "exactly one of url or service is required"));
    const timeout = webhook.timeoutSeconds;
    if (typeof timeout === "number" && (timeout < 1 || timeout > 30))
      causes.push(
        invalidValue(
          `${where}.timeoutSeconds`,
          timeout,
          "the timeout value must be between 1 and 30 seconds",
        ),
      );
    return causes;
  });
}
