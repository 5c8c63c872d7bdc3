import { annotations, containers, group, labels, wellKnown } from "#api/names";
import {
  binding,
  mutatingBindingKind,
  mutatingPolicyKind,
  type PolicyManifest,
  policyGroup,
  validatingBindingKind,
  validatingPolicyKind,
} from "./admission-policy.ts";

const annotation = JSON.stringify(annotations.enableProxy);
const label = JSON.stringify(labels.enableProxy);

/** CEL: the text of a key in a map of an object, "" without it. */
function textIn(object: string, map: "labels" | "annotations", key: string): string {
  return `(has(${object}.metadata.${map}) && ${key} in ${object}.metadata.${map} ? string(${object}.metadata.${map}[${key}]) : "")`;
}

/** CEL: what an annotation's text becomes as label; annotations hold any text, labels do not. */
function mirrored(object: string): string {
  return `(${textIn(object, "annotations", annotation)} == "true" ? "true" : "false")`;
}

function hasAnnotation(object: string): string {
  return `(has(${object}.metadata.annotations) && ${annotation} in ${object}.metadata.annotations)`;
}

/**
 * The policy that copies a namespace's opt-in annotation to its label in the same request, so that selectors of
 * webhooks and policies see it as soon as `kubectl annotate` answers. A label that was the annotation's copy
 * goes with it; one that the user set stays. The same as the namespace webhook does on older servers.
 */
export function optInPolicy(): PolicyManifest {
  const wasMirror = `oldObject != null && !${hasAnnotation("object")} && ${hasAnnotation("oldObject")}`;
  const isStillThere = `${textIn("object", "labels", label)} == ${mirrored("oldObject")}`;
  return {
    policyKind: mutatingPolicyKind,
    bindingKind: mutatingBindingKind,
    policy: {
      apiVersion: `${policyGroup}/v1`,
      kind: "MutatingAdmissionPolicy",
      metadata: { name: wellKnown.optInPolicy },
      spec: {
        failurePolicy: "Ignore",
        reinvocationPolicy: "IfNeeded",
        matchConstraints: {
          matchPolicy: "Equivalent",
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              resources: ["namespaces"],
              operations: ["CREATE", "UPDATE"],
              scope: "Cluster",
            },
          ],
        },
        mutations: [
          {
            patchType: "ApplyConfiguration",
            applyConfiguration: {
              expression: `${hasAnnotation("object")} ? Object{metadata: Object.metadata{labels: {${label}: ${mirrored("object")}}}} : Object{}`,
            },
          },
          {
            patchType: "JSONPatch",
            jsonPatch: {
              expression: `${wasMirror} && ${isStillThere} ? [JSONPatch{op: "remove", path: "/metadata/labels/" + jsonpatch.escapeKey(${label})}] : []`,
            },
          },
        ],
      },
    },
    bindings: [binding("MutatingAdmissionPolicyBinding", wellKnown.optInPolicy, wellKnown.optInPolicy, {})],
  };
}

/**
 * The policy that refuses a pod which must have the proxy and has none: in an opted-in namespace, or labelled
 * itself, and selected by a ShardingConfig of its namespace. The webhook injects before this is asked, so it
 * only strikes when the webhook was passed by.
 *
 * Bound to opted-in namespaces and pods only: its parameter is a kind of ours, and `failurePolicy: Fail` would
 * refuse every pod of the cluster if that CRD were taken away. Apply it after the CRD is served.
 */
export function requireProxyPolicy(): PolicyManifest {
  const podLabels = "variables.labels";
  const expressions = [
    `(e.operator == "In" && e.key in ${podLabels} && ${podLabels}[e.key] in e.values)`,
    `(e.operator == "NotIn" && !(e.key in ${podLabels} && ${podLabels}[e.key] in e.values))`,
    `(e.operator == "Exists" && e.key in ${podLabels})`,
    `(e.operator == "DoesNotExist" && !(e.key in ${podLabels}))`,
  ].join(" || ");
  const own = `(${label} in ${podLabels} ? ${podLabels}[${label}] : "")`;
  const namespaceSays = `(${hasAnnotation("namespaceObject")} ? ${textIn("namespaceObject", "annotations", annotation)} : ${textIn("namespaceObject", "labels", label)})`;
  const name = (suffix: string) => `${wellKnown.requireProxyPolicy}-${suffix}`;
  const bound = (suffix: string, matchResources: unknown) =>
    binding("ValidatingAdmissionPolicyBinding", name(suffix), wellKnown.requireProxyPolicy, {
      validationActions: ["Deny"],
      // Without a namespace: the ShardingConfigs of the pod's own, each judged by itself.
      paramRef: { selector: {}, parameterNotFoundAction: "Allow" },
      matchResources,
    });
  return {
    policyKind: validatingPolicyKind,
    bindingKind: validatingBindingKind,
    policy: {
      apiVersion: `${policyGroup}/v1`,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: wellKnown.requireProxyPolicy },
      spec: {
        failurePolicy: "Fail",
        paramKind: { apiVersion: `${group}/v1alpha1`, kind: "ShardingConfig" },
        matchConstraints: {
          matchPolicy: "Equivalent",
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              resources: ["pods"],
              operations: ["CREATE"],
              scope: "Namespaced",
            },
          ],
        },
        variables: [
          { name: "labels", expression: "has(object.metadata.labels) ? object.metadata.labels : {}" },
          {
            name: "mustHaveProxy",
            expression: `${own} == "true" || (${own} == "" && ${namespaceSays} == "true")`,
          },
          {
            name: "matchLabels",
            expression:
              "has(params.spec.selector) && has(params.spec.selector.matchLabels) ? params.spec.selector.matchLabels : {}",
          },
          {
            name: "matchExpressions",
            expression:
              "has(params.spec.selector) && has(params.spec.selector.matchExpressions) ? params.spec.selector.matchExpressions : []",
          },
          {
            name: "isSelected",
            expression: `!has(params.spec.root) && size(variables.matchLabels) + size(variables.matchExpressions) > 0 && variables.matchLabels.all(k, k in ${podLabels} && ${podLabels}[k] == variables.matchLabels[k]) && variables.matchExpressions.all(e, ${expressions})`,
          },
          {
            name: "hasProxy",
            expression: `object.spec.containers.exists(c, c.name == "${containers.proxy}") || (has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == "${containers.proxy}"))`,
          },
        ],
        validations: [
          {
            expression: "!variables.mustHaveProxy || !variables.isSelected || variables.hasProxy",
            messageExpression: `"the pod is selected by ShardingConfig " + string(params.metadata.name) + " and has no container ${containers.proxy}: the injecting webhook was not asked; create the pod again when ctrlmesh-manager answers"`,
            reason: "Forbidden",
          },
        ],
      },
    },
    bindings: [
      bound("namespaces", { namespaceSelector: { matchLabels: { [labels.enableProxy]: "true" } } }),
      bound("pods", { objectSelector: { matchLabels: { [labels.enableProxy]: "true" } } }),
    ],
  };
}
