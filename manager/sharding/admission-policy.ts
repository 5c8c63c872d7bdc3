import type { KubernetesObject } from "#api/meta";
import { wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { CallOptions, KubeClient, ResourceKind } from "#kube/client/client";
import type { StampSettings } from "#webhook/stamp";
import type { ServedResource } from "./discovery.ts";
import { discoverVersion } from "./discovery.ts";

export const policyGroup = "admissionregistration.k8s.io";

const policyKind = (resource: string): ResourceKind => ({
  group: policyGroup,
  version: "v1",
  resource,
  namespaced: false,
});
export const mutatingPolicyKind = policyKind("mutatingadmissionpolicies");
export const mutatingBindingKind = policyKind("mutatingadmissionpolicybindings");
export const validatingPolicyKind = policyKind("validatingadmissionpolicies");
export const validatingBindingKind = policyKind("validatingadmissionpolicybindings");

/** A policy with its bindings, ready to be applied. */
export interface PolicyManifest {
  readonly policyKind: ResourceKind;
  readonly bindingKind: ResourceKind;
  readonly policy: KubernetesObject;
  readonly bindings: readonly KubernetesObject[];
}

/**
 * Whether the API server stamps by itself: MutatingAdmissionPolicy v1, Kubernetes 1.36 and later. Otherwise the
 * mutating webhook has to.
 */
export async function supportsMutatingPolicies(client: KubeClient, call: CallOptions): Promise<boolean> {
  return await serves(client, mutatingPolicyKind, call);
}

/** ValidatingAdmissionPolicy v1, Kubernetes 1.30 and later. */
export async function supportsValidatingPolicies(client: KubeClient, call: CallOptions): Promise<boolean> {
  return await serves(client, validatingPolicyKind, call);
}

/**
 * The policy that copies the shard labels of a namespace to its objects at each create and update (status
 * updates can strip labels too). `failurePolicy: Ignore`: what it misses is healed, a refused write is not.
 *
 * @param kinds established ones whose schema the API server publishes, in every served version; none gives no
 *   policy. Never a wildcard: for a kind without a schema the dispatcher answers 503 in spite of `Ignore`.
 */
export function stampPolicy(
  kinds: readonly ServedResource[],
  settings: StampSettings,
): PolicyManifest | undefined {
  if (kinds.length === 0) return undefined;
  const { shardLabels, exemptNamespaces } = settings;
  const copies = Object.values(shardLabels).map(
    (key: string) => `${JSON.stringify(key)}: namespaceObject.metadata.labels[${JSON.stringify(key)}]`,
  );
  return {
    policyKind: mutatingPolicyKind,
    bindingKind: mutatingBindingKind,
    policy: {
      apiVersion: `${policyGroup}/v1`,
      kind: "MutatingAdmissionPolicy",
      metadata: { name: wellKnown.stampPolicy },
      spec: {
        failurePolicy: "Ignore",
        // A webhook that replaces the labels is followed by a second stamp.
        reinvocationPolicy: "IfNeeded",
        matchConstraints: {
          matchPolicy: "Equivalent",
          namespaceSelector: {
            matchLabels: { [shardLabels.control]: "true" },
            ...(exemptNamespaces.length === 0
              ? {}
              : {
                  matchExpressions: [
                    { key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...exemptNamespaces] },
                  ],
                }),
          },
          resourceRules: stampRules(kinds),
        },
        mutations: [
          {
            patchType: "ApplyConfiguration",
            applyConfiguration: {
              expression: `Object{metadata: Object.metadata{labels: {${copies.join(", ")}}}}`,
            },
          },
        ],
      },
    },
    bindings: [binding("MutatingAdmissionPolicyBinding", wellKnown.stampPolicy, wellKnown.stampPolicy, {})],
  };
}

/** One rule per group and set of versions, names sorted, so that equal kinds give equal bytes. */
function stampRules(kinds: readonly ServedResource[]): unknown[] {
  const versions = new Map<
    string,
    { group: string; resource: string; versions: Set<string>; status: boolean }
  >();
  for (const { group, version, resource, hasStatus } of kinds) {
    const key = `${group}/${resource}`;
    const known = versions.get(key) ?? { group, resource, versions: new Set(), status: false };
    known.versions.add(version);
    known.status ||= hasStatus;
    versions.set(key, known);
  }
  const rules = new Map<string, { group: string; versions: string[]; resources: string[] }>();
  for (const key of [...versions.keys()].sort()) {
    const each = versions.get(key);
    if (each === undefined) continue;
    const sorted = [...each.versions].sort();
    const ruleKey = `${each.group}/${sorted.join()}`;
    const rule = rules.get(ruleKey) ?? { group: each.group, versions: sorted, resources: [] };
    rule.resources.push(each.resource, ...(each.status ? [`${each.resource}/status`] : []));
    rules.set(ruleKey, rule);
  }
  return [...rules.values()].map((rule) => ({
    apiGroups: [rule.group],
    apiVersions: rule.versions,
    resources: rule.resources,
    operations: ["CREATE", "UPDATE"],
    scope: "Namespaced",
  }));
}

/**
 * The policy that lets only the manager change or remove the shard labels of a namespace. Creation is free: a
 * restored namespace brings its labels, and the manager corrects wrong ones.
 *
 * @param managerUser user name as the API server knows the manager
 */
export function protectLabelsPolicy(managerUser: string, settings: StampSettings): PolicyManifest {
  const { exemptNamespaces } = settings;
  const same = Object.values(settings.shardLabels).map((key: string) => {
    const name = JSON.stringify(key);
    const value = (object: string) =>
      `(has(${object}.metadata.labels) && ${name} in ${object}.metadata.labels ? string(${object}.metadata.labels[${name}]) : "")`;
    return `${value("object")} == ${value("oldObject")}`;
  });
  return {
    policyKind: validatingPolicyKind,
    bindingKind: validatingBindingKind,
    policy: {
      apiVersion: `${policyGroup}/v1`,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: wellKnown.protectLabelsPolicy },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          matchPolicy: "Equivalent",
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              resources: ["namespaces", "namespaces/status", "namespaces/finalize"],
              operations: ["UPDATE"],
              scope: "*",
            },
          ],
          ...(exemptNamespaces.length === 0
            ? {}
            : {
                namespaceSelector: {
                  matchExpressions: [
                    { key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...exemptNamespaces] },
                  ],
                },
              }),
        },
        matchConditions: [
          {
            name: "not-the-manager",
            expression: `request.userInfo.username != ${JSON.stringify(managerUser)}`,
          },
        ],
        validations: [
          {
            expression: same.join(" && "),
            messageExpression: `"the labels ${Object.values(settings.shardLabels).join(", ")} of namespace " + string(object.metadata.name) + " are kept by ctrlmesh and follow from its name; leave them as they are"`,
            reason: "Forbidden",
          },
        ],
      },
    },
    bindings: [
      binding(
        "ValidatingAdmissionPolicyBinding",
        wellKnown.protectLabelsPolicy,
        wellKnown.protectLabelsPolicy,
        {
          validationActions: ["Deny"],
        },
      ),
    ],
  };
}

export function binding(
  kind: string,
  name: string,
  policyName: string,
  members: Readonly<Record<string, unknown>>,
): KubernetesObject {
  return { apiVersion: `${policyGroup}/v1`, kind, metadata: { name }, spec: { policyName, ...members } };
}

async function serves(client: KubeClient, kind: ResourceKind, call: CallOptions): Promise<boolean> {
  try {
    const served = await discoverVersion(client, kind, call);
    return served.some(({ resource }) => resource === kind.resource);
  } catch (failed) {
    if (isApiError(failed, "API_NOT_FOUND")) return false;
    throw failed;
  }
}
