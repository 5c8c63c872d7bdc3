import { group, wellKnown } from "#api/names";
import type { ServedResource } from "#manager/sharding/discovery";
import { isLabelable } from "#manager/sharding/resource-patterns";
import { patternOf, viewOf } from "#manager/sharding/shard-limits";
import { kindName } from "#manager/sharding/stamp";
import { kinds, managerPodSelector } from "../kinds.ts";
import { type AccessQuestion, mayServiceAccount, questionText } from "./access.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";
import { memberOf, textOf } from "./read.ts";

/** Rights on some resources, as a rule of RBAC has them. */
export interface NeededRights {
  readonly scope: "cluster" | "own namespace" | "default";
  readonly group: string;
  /** `resource` or `resource/subresource`. */
  readonly resources: readonly string[];
  /** Absent: all of them. */
  readonly names?: readonly string[];
  readonly verbs: readonly string[];
  /** What fails without them. */
  readonly purpose: string;
}

const admission = "admissionregistration.k8s.io";
const { stampPolicy, optInPolicy, protectLabelsPolicy, requireProxyPolicy } = wellKnown;

/** What the manager's service account needs; a test holds this list, the chart and the install files to each other. */
export const managerRights: readonly NeededRights[] = [
  right("", ["namespaces"], ["get", "list", "watch", "patch"], "labels and opt-in of namespaces"),
  right("", ["pods"], ["get", "list", "watch", "delete"], "which pods serve a shard, and their replacement"),
  right("", ["configmaps"], ["get"], "the cluster's CA", ["kube-root-ca.crt"]),
  right("", ["configmaps"], ["get", "create", "patch"], "CA bundles of opted-in namespaces", [
    wellKnown.caBundleConfigMap,
    wellKnown.fakeKubeconfigConfigMap,
  ]),
  right("authentication.k8s.io", ["tokenreviews"], ["create"], "identity of proxies"),
  right("events.k8s.io", ["events"], ["create", "patch"], "events"),
  right(group, ["shardingconfigs"], ["get", "list", "watch", "patch"], "what is to be sharded"),
  right(group, ["shardingconfigs/status"], ["patch"], "conditions"),
  right(group, ["ownershipledgers"], ["get", "list", "create", "update", "delete"], "who owns what"),
  right(group, ["managerstates"], ["get", "list", "watch", "create"], "which replica leads"),
  right(group, ["managerstates/status"], ["update"], "which replica leads"),
  right("apiextensions.k8s.io", ["customresourcedefinitions"], ["list", "watch"], "which kinds exist"),
  right("rbac.authorization.k8s.io", ["clusterroles"], ["get"], "that its webhooks and policies go with it", [
    "ctrlmesh-manager",
  ]),
  right(admission, ["mutatingwebhookconfigurations"], ["create", "patch"], "its webhooks", [
    wellKnown.mutatingWebhook,
  ]),
  right(admission, ["validatingwebhookconfigurations"], ["create", "patch"], "its webhooks", [
    wellKnown.validatingWebhook,
  ]),
  right(
    admission,
    ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
    ["create", "patch"],
    "its admission policies",
    [optInPolicy, stampPolicy],
  ),
  right(admission, ["validatingadmissionpolicies"], ["create", "patch"], "its admission policies", [
    protectLabelsPolicy,
    requireProxyPolicy,
  ]),
  right(admission, ["validatingadmissionpolicybindings"], ["create", "patch"], "its admission policies", [
    protectLabelsPolicy,
    `${requireProxyPolicy}-namespaces`,
    `${requireProxyPolicy}-pods`,
  ]),
  right(admission, ["mutatingadmissionpolicies"], ["get"], "what an earlier leader stamped", [stampPolicy]),
  right(
    admission,
    ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
    ["delete"],
    "a policy with nothing to stamp",
    [stampPolicy],
  ),
  {
    ...right("", ["services"], ["get"], "the API server's addresses in the cluster", ["kubernetes"]),
    scope: "default",
  },
  ownRight("coordination.k8s.io", ["leases"], ["create"], "leader election"),
  ownRight("coordination.k8s.io", ["leases"], ["get", "update"], "leader election", [wellKnown.managerLease]),
  ownRight("", ["secrets"], ["create"], "mesh CA and webhook certificate"),
  ownRight("", ["secrets"], ["get", "update"], "mesh CA and webhook certificate", [
    wellKnown.caSecret,
    wellKnown.webhookCertificateSecret,
  ]),
  ownRight("", ["configmaps"], ["list", "watch"], "which kinds to label", [
    wellKnown.shardingResourceConfigMap,
  ]),
];

function right(
  apiGroup: string,
  resources: readonly string[],
  verbs: readonly string[],
  purpose: string,
  names?: readonly string[],
): NeededRights {
  return {
    scope: "cluster",
    group: apiGroup,
    resources,
    verbs,
    purpose,
    ...(names === undefined ? {} : { names }),
  };
}

function ownRight(...rule: Parameters<typeof right>): NeededRights {
  return { ...right(...rule), scope: "own namespace" };
}

const labellingVerbs = ["list", "watch", "patch"] as const;

/** Whether the manager may do all that it has to, the labelling of each limited kind included. */
export const managerRightsCheck: Check = {
  name: "manager-rights",
  phases: ["after"],
  run: async (context) => {
    const { client, signal, settings } = context;
    const { namespace } = settings;
    const account = { namespace, name: await serviceAccountOf(context) };
    const wanted = [...standing(context), ...labelling(context)];
    const answers = await Promise.all(
      wanted.map(async (each) => ({
        ...each,
        allowed: await mayServiceAccount(client, account, each.question, { signal }),
      })),
    );
    const denied = new Map<string, string[]>();
    for (const { question, purpose, allowed } of answers) {
      if (!allowed) denied.set(purpose, [...(denied.get(purpose) ?? []), questionText(question)]);
    }
    const findings = [...denied].map(
      ([purpose, questions]): Finding => ({
        level: "error",
        code: "ManagerRightsMissing",
        where: `ServiceAccount ${namespace}/${account.name}`,
        what: `it may not ${questions.join(", ")}: needed for ${purpose}`,
        remedy: purpose.startsWith("labels of")
          ? `add the kind to the ClusterRole ctrlmesh-labelled-kinds with the verbs ${labellingVerbs.join(", ")}`
          : "apply the RBAC of the installation again",
      }),
    );
    return { summary: `${answers.length} rights of ${namespace}/${account.name}`, findings };
  },
};

/** That of the manager's pods; where none runs, the one that an installation makes. */
async function serviceAccountOf({ client, settings, signal }: CheckContext): Promise<string> {
  const query = { namespace: settings.namespace, labelSelector: managerPodSelector, limit: 1 };
  const { items } = await client.list(kinds.pods, query, { signal });
  return textOf(memberOf(items[0]?.spec, "serviceAccountName")) ?? "ctrlmesh-manager";
}

interface Wanted {
  readonly question: AccessQuestion;
  readonly purpose: string;
}

function standing({ settings, served }: CheckContext): Wanted[] {
  const namespaces = { cluster: undefined, "own namespace": settings.namespace, default: "default" } as const;
  return managerRights.flatMap(({ scope, group: apiGroup, resources, verbs, purpose, names = [undefined] }) =>
    resources.flatMap((path) => {
      const [resource = "", subresource] = path.split("/");
      // What this API server does not serve needs no right.
      if (apiGroup === admission && !served.served.some((each) => each.resource === resource)) return [];
      const namespace = namespaces[scope];
      return names.flatMap((name) =>
        verbs.map((verb) => ({
          purpose,
          question: {
            verb,
            group: apiGroup,
            resource,
            ...(subresource === undefined ? {} : { subresource }),
            ...(namespace === undefined ? {} : { namespace }),
            ...(name === undefined ? {} : { name }),
          },
        })),
      );
    }),
  );
}

function labelling(context: CheckContext): Wanted[] {
  return limitedKinds(context).flatMap((kind) =>
    labellingVerbs.map((verb) => ({
      purpose: `labels of ${kindName(kind)}`,
      question: { verb, group: kind.group, resource: kind.resource },
    })),
  );
}

/** Kinds that any ShardingConfig limits and whose objects carry labels for it. */
export function limitedKinds({
  inventory,
  settings,
  served,
}: Pick<CheckContext, "inventory" | "settings" | "served">): readonly ServedResource[] {
  const patterns = inventory.flatMap(({ configs }) =>
    configs.readable.flatMap((config) => viewOf(config, settings.shardLabels, served).limits.map(patternOf)),
  );
  return served.resolve(patterns).filter(isLabelable);
}
