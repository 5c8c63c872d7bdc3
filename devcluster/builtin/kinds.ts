import { objectOf } from "../json.ts";
import { mainVerbs, type Strategy, type Subresource } from "../resource.ts";
import * as defaults from "./defaults.ts";
import { definitionNameCauses, eventNamespaceCauses } from "./name-validation.ts";
import * as prepare from "./preparation.ts";
import * as validation from "./validation.ts";

/** What differs between built-in kinds. */
export interface BuiltInKind {
  /** "group/version" ("v1" for core). */
  readonly apiVersion: string;
  readonly kind: string;
  readonly resource: string;
  readonly schemaName: string;
  readonly clusterScoped?: true;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly verbs?: readonly string[];
  readonly subresources?: readonly Subresource[];
  readonly collection?: string;
  readonly strategy?: Partial<Strategy>;
  readonly events?: true;
}

const readWrite = ["get", "patch", "update"];
const status: Subresource = { name: "status", verbs: readWrite };
const scale: Subresource = {
  name: "scale",
  verbs: readWrite,
  kind: { group: "autoscaling", version: "v1", kind: "Scale" },
};
const reviewed = (schemaName: string, resource: string, kind: string, apiVersion: string): BuiltInKind => ({
  apiVersion,
  kind,
  resource,
  schemaName,
  clusterScoped: true,
  verbs: ["create"],
});

const authorization = "authorization.k8s.io/v1";
const rbac = "rbac.authorization.k8s.io/v1";
const registration = "admissionregistration.k8s.io/v1";

const workload = { hasStatus: true, countsGeneration: true };

/** A new list each time, since some strategies count. */
export const builtInKinds = (): readonly BuiltInKind[] => [
  {
    apiVersion: "v1",
    kind: "Namespace",
    resource: "namespaces",
    schemaName: "io.k8s.api.core.v1.Namespace",
    clusterScoped: true,
    shortNames: ["ns"],
    // No deletecollection, as on a real server.
    verbs: mainVerbs.filter((verb) => verb !== "deletecollection"),
    subresources: [status, { name: "finalize", verbs: ["update"] }],
    strategy: {
      nameRule: "label",
      hasStatus: true,
      setDefaults: defaults.namespaceDefaults,
      prepareCreate: prepare.prepareNamespace,
      prepareUpdate: prepare.keepNamespace,
    },
  },
  {
    apiVersion: "v1",
    kind: "Pod",
    resource: "pods",
    schemaName: "io.k8s.api.core.v1.Pod",
    shortNames: ["po"],
    categories: ["all"],
    subresources: [status, { name: "log", verbs: ["get"] }],
    strategy: {
      ...workload,
      returnsDeleted: true,
      setDefaults: (pod) => {
        defaults.podDefaults(pod);
        objectOf(pod.spec).enableServiceLinks ??= true;
      },
      prepareCreate: prepare.preparePod,
      prepareUpdate: prepare.keepPodStatus,
      validate: validation.podCauses,
      validateUpdate: validation.podUpdateCauses,
      gracePeriodSeconds: prepare.podGraceSecondsOf,
    },
  },
  {
    apiVersion: "v1",
    kind: "Service",
    resource: "services",
    schemaName: "io.k8s.api.core.v1.Service",
    shortNames: ["svc"],
    categories: ["all"],
    subresources: [status],
    strategy: {
      nameRule: "service",
      hasStatus: true,
      returnsDeleted: true,
      setDefaults: defaults.serviceDefaults,
      prepareCreate: prepare.serviceAddresses(),
      prepareUpdate: prepare.keepServiceAddresses,
      validate: validation.serviceCauses,
    },
  },
  {
    apiVersion: "v1",
    kind: "ConfigMap",
    resource: "configmaps",
    schemaName: "io.k8s.api.core.v1.ConfigMap",
    shortNames: ["cm"],
    strategy: { validate: validation.configKeyCauses, validateUpdate: validation.immutableUpdateCauses },
  },
  {
    apiVersion: "v1",
    kind: "Secret",
    resource: "secrets",
    schemaName: "io.k8s.api.core.v1.Secret",
    strategy: {
      setDefaults: defaults.secretDefaults,
      validate: validation.configKeyCauses,
      validateUpdate: validation.secretUpdateCauses,
    },
  },
  {
    apiVersion: "v1",
    kind: "ServiceAccount",
    resource: "serviceaccounts",
    schemaName: "io.k8s.api.core.v1.ServiceAccount",
    shortNames: ["sa"],
    subresources: [
      {
        name: "token",
        verbs: ["create"],
        kind: { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" },
      },
    ],
    strategy: { returnsDeleted: true },
  },
  {
    apiVersion: "v1",
    kind: "Endpoints",
    resource: "endpoints",
    schemaName: "io.k8s.api.core.v1.Endpoints",
    shortNames: ["ep"],
  },
  {
    apiVersion: "v1",
    kind: "Node",
    resource: "nodes",
    schemaName: "io.k8s.api.core.v1.Node",
    clusterScoped: true,
    shortNames: ["no"],
    subresources: [status],
    strategy: { hasStatus: true },
  },
  {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    resource: "persistentvolumeclaims",
    schemaName: "io.k8s.api.core.v1.PersistentVolumeClaim",
    shortNames: ["pvc"],
    subresources: [status],
    strategy: {
      hasStatus: true,
      returnsDeleted: true,
      setDefaults: defaults.claimDefaults,
      prepareCreate: prepare.pendingClaim,
    },
  },
  {
    apiVersion: "v1",
    kind: "Event",
    resource: "events",
    schemaName: "io.k8s.api.core.v1.Event",
    shortNames: ["ev"],
    strategy: { validate: eventNamespaceCauses },
  },
  {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    resource: "events",
    schemaName: "io.k8s.api.events.v1.Event",
    shortNames: ["ev"],
    collection: "events",
    events: true,
  },
  {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    resource: "statefulsets",
    schemaName: "io.k8s.api.apps.v1.StatefulSet",
    shortNames: ["sts"],
    categories: ["all"],
    subresources: [status, scale],
    strategy: {
      ...workload,
      setDefaults: defaults.statefulSetDefaults,
      prepareCreate: prepare.prepareStatefulSet,
      validate: validation.workloadCauses,
      validateUpdate: validation.statefulSetUpdateCauses,
    },
  },
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    resource: "deployments",
    schemaName: "io.k8s.api.apps.v1.Deployment",
    shortNames: ["deploy"],
    categories: ["all"],
    subresources: [status, scale],
    strategy: {
      ...workload,
      setDefaults: defaults.deploymentDefaults,
      prepareCreate: prepare.emptyStatus,
      validate: validation.workloadCauses,
      validateUpdate: validation.selectorUpdateCauses,
    },
  },
  {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    resource: "replicasets",
    schemaName: "io.k8s.api.apps.v1.ReplicaSet",
    shortNames: ["rs"],
    categories: ["all"],
    subresources: [status, scale],
    strategy: {
      ...workload,
      setDefaults: defaults.replicaSetDefaults,
      prepareCreate: prepare.prepareReplicaSet,
      validate: validation.workloadCauses,
      validateUpdate: validation.selectorUpdateCauses,
    },
  },
  {
    apiVersion: "apps/v1",
    kind: "ControllerRevision",
    resource: "controllerrevisions",
    schemaName: "io.k8s.api.apps.v1.ControllerRevision",
  },
  {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    resource: "leases",
    schemaName: "io.k8s.api.coordination.v1.Lease",
    strategy: { allowsBlindUpdate: false, validate: validation.leaseCauses },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    resource: "endpointslices",
    schemaName: "io.k8s.api.discovery.v1.EndpointSlice",
    strategy: { countsGeneration: true },
  },
  ...rbacKinds,
  ...webhookKinds,
  {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    resource: "customresourcedefinitions",
    schemaName: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    clusterScoped: true,
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
    subresources: [status],
    strategy: {
      ...workload,
      allowsBlindUpdate: false,
      setDefaults: defaults.definitionDefaults,
      prepareCreate: prepare.prepareDefinition,
      validate: definitionNameCauses,
    },
  },
  reviewed(
    "io.k8s.api.authentication.v1.TokenReview",
    "tokenreviews",
    "TokenReview",
    "authentication.k8s.io/v1",
  ),
  reviewed(
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "selfsubjectreviews",
    "SelfSubjectReview",
    "authentication.k8s.io/v1",
  ),
  reviewed(
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    "subjectaccessreviews",
    "SubjectAccessReview",
    authorization,
  ),
  reviewed(
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    authorization,
  ),
  reviewed(
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "selfsubjectrulesreviews",
    "SelfSubjectRulesReview",
    authorization,
  ),
];

const rbacKinds: readonly BuiltInKind[] = [
  {
    apiVersion: rbac,
    kind: "Role",
    resource: "roles",
    schemaName: "io.k8s.api.rbac.v1.Role",
    strategy: { nameRule: "path", validate: validation.roleCauses },
  },
  {
    apiVersion: rbac,
    kind: "ClusterRole",
    resource: "clusterroles",
    schemaName: "io.k8s.api.rbac.v1.ClusterRole",
    clusterScoped: true,
    strategy: { nameRule: "path", validate: validation.roleCauses },
  },
  {
    apiVersion: rbac,
    kind: "RoleBinding",
    resource: "rolebindings",
    schemaName: "io.k8s.api.rbac.v1.RoleBinding",
    strategy: {
      nameRule: "path",
      setDefaults: defaults.bindingDefaults,
      validateUpdate: validation.bindingUpdateCauses,
    },
  },
  {
    apiVersion: rbac,
    kind: "ClusterRoleBinding",
    resource: "clusterrolebindings",
    schemaName: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    clusterScoped: true,
    strategy: {
      nameRule: "path",
      setDefaults: defaults.bindingDefaults,
      validateUpdate: validation.bindingUpdateCauses,
    },
  },
];

const webhookKinds: readonly BuiltInKind[] = (["Mutating", "Validating"] as const).map((type) => ({
  apiVersion: registration,
  kind: `${type}WebhookConfiguration`,
  resource: `${type.toLowerCase()}webhookconfigurations`,
  schemaName: `io.k8s.api.admissionregistration.v1.${type}WebhookConfiguration`,
  clusterScoped: true,
  categories: ["api-extensions"],
  strategy: {
    countsGeneration: true,
    allowsBlindUpdate: false,
    setDefaults: defaults.webhookDefaults,
    validate: validation.webhookCauses,
  },
}));
