import { group } from "#api/names";
import type { ServedResource } from "#manager/sharding/discovery";
import { isLabelable } from "#manager/sharding/resource-patterns";
import { patternOf, viewOf } from "#manager/sharding/shard-limits";
import { kindName } from "#manager/sharding/stamp";
import { type AccessQuestion, mayServiceAccount, questionText } from "./access.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";

/** Rights on some resources, as a rule of RBAC has them. */
export interface NeededRights {
  readonly scope: "cluster" | "own namespace";
  readonly group: string;
  /** `resource` or `resource/subresource`. */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** What fails without them. */
  readonly purpose: string;
}

const admission = "admissionregistration.k8s.io";

/** What the manager's service account needs; a test holds this list and the install files to each other. */
export const managerRights: readonly NeededRights[] = [
  {
    scope: "cluster",
    group: "",
    resources: ["namespaces"],
    verbs: ["get", "list", "watch", "patch"],
    purpose: "labels and opt-in of namespaces",
  },
  {
    scope: "cluster",
    group: "",
    resources: ["pods"],
    verbs: ["get", "list", "watch", "delete"],
    purpose: "which pods serve a shard, and their replacement after a move",
  },
  {
    scope: "cluster",
    group: "",
    resources: ["configmaps"],
    verbs: ["get", "list", "watch", "create", "update", "patch"],
    purpose: "CA bundles of opted-in namespaces",
  },
  {
    scope: "cluster",
    group: "authentication.k8s.io",
    resources: ["tokenreviews"],
    verbs: ["create"],
    purpose: "identity of proxies",
  },
  {
    scope: "cluster",
    group: "events.k8s.io",
    resources: ["events"],
    verbs: ["create", "patch", "update"],
    purpose: "events",
  },
  {
    scope: "cluster",
    group,
    resources: ["shardingconfigs"],
    verbs: ["get", "list", "watch", "update", "patch"],
    purpose: "what is to be sharded",
  },
  {
    scope: "cluster",
    group,
    resources: ["shardingconfigs/status", "managerstates/status"],
    verbs: ["get", "update", "patch"],
    purpose: "conditions",
  },
  {
    scope: "cluster",
    group,
    resources: ["ownershipledgers", "managerstates"],
    verbs: ["get", "list", "watch", "create", "update", "patch", "delete"],
    purpose: "who owns what",
  },
  {
    scope: "cluster",
    group: "apiextensions.k8s.io",
    resources: ["customresourcedefinitions"],
    verbs: ["get", "list", "watch"],
    purpose: "which kinds exist",
  },
  {
    scope: "cluster",
    group: admission,
    resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    verbs: ["get", "list", "watch", "create", "update", "patch"],
    purpose: "its webhooks",
  },
  {
    scope: "cluster",
    group: admission,
    resources: [
      "mutatingadmissionpolicies",
      "mutatingadmissionpolicybindings",
      "validatingadmissionpolicies",
      "validatingadmissionpolicybindings",
    ],
    verbs: ["get", "list", "watch", "create", "update", "patch", "delete"],
    purpose: "its admission policies",
  },
  {
    scope: "own namespace",
    group: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["get", "create", "update"],
    purpose: "leader election",
  },
  {
    scope: "own namespace",
    group: "",
    resources: ["secrets"],
    verbs: ["get", "list", "watch", "create", "update"],
    purpose: "mesh CA and webhook certificate",
  },
];

const labellingVerbs = ["list", "watch", "patch"] as const;

/** Whether the manager may do all that it has to, the labelling of each limited kind included. */
export const managerRightsCheck: Check = {
  name: "manager-rights",
  phases: ["after"],
  run: async (context) => {
    const { client, signal, settings } = context;
    const { namespace } = settings;
    const account = { namespace, name: "ctrlmesh-manager" };
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

interface Wanted {
  readonly question: AccessQuestion;
  readonly purpose: string;
}

function standing({ settings, served }: CheckContext): Wanted[] {
  return managerRights.flatMap(({ scope, group: apiGroup, resources, verbs, purpose }) =>
    resources.flatMap((path) => {
      const [resource = "", subresource] = path.split("/");
      // What this API server does not serve needs no right.
      if (apiGroup === admission && !served.served.some((each) => each.resource === resource)) return [];
      return verbs.map((verb) => ({
        purpose,
        question: {
          verb,
          group: apiGroup,
          resource,
          ...(subresource === undefined ? {} : { subresource }),
          ...(scope === "own namespace" ? { namespace: settings.namespace } : {}),
        },
      }));
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
