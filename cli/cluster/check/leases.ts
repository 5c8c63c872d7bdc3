import type { KubernetesObject } from "#api/meta";
import type { ShardingConfig } from "#api/sharding-config";
import { observePod, selecting } from "#manager/sharding/pod-classes";
import type { NamespaceInventory } from "../inventory.ts";
import { type AccessQuestion, mayServiceAccount } from "./access.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";
import { memberOf, textOf } from "./read.ts";

const verbs = ["get", "update"] as const;

/**
 * Whether operators may use their renamed locks. A role with `resourceNames` names the lock as the operator calls it,
 * and answers 403 for `<lock>---<shard>`: the operator then does nothing, for good.
 */
export const leasesCheck: Check = {
  name: "leases",
  phases: ["after"],
  run: async (context) => {
    const locks = context.inventory.flatMap((each) => locksOf(each));
    const findings = await Promise.all(locks.map((lock) => judgeLock(lock, context)));
    return { summary: `${locks.length} renamed locks`, findings: findings.flat() };
  },
};

interface Lock {
  readonly config: ShardingConfig;
  readonly lease: string;
  readonly namespace: string;
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
}

/** One per shard and service account of its pods. */
function locksOf({ namespace, configs, podObjects }: NamespaceInventory): Lock[] {
  const locks = new Map<string, Lock>();
  for (const object of podObjects) {
    const pod = observePod(object);
    if (pod.ended) continue;
    for (const config of selecting(pod, configs)) {
      const { controller } = config.spec;
      if (controller === undefined) continue;
      const name = serviceAccountOf(object);
      const lease = `${controller.leaderElectionName}---${config.metadata.name}`;
      locks.set(`${lease}/${name}`, {
        config,
        lease,
        namespace: controller.leaderElectionNamespace ?? namespace,
        serviceAccount: { namespace, name },
      });
    }
  }
  return [...locks.values()];
}

function serviceAccountOf({ spec }: KubernetesObject): string {
  return textOf(memberOf(spec, "serviceAccountName")) ?? "default";
}

async function judgeLock(
  { config, lease, namespace, serviceAccount }: Lock,
  { client, signal }: CheckContext,
): Promise<Finding[]> {
  const answers = await Promise.all(
    verbs.map(async (verb) => {
      const question: AccessQuestion = {
        verb,
        group: "coordination.k8s.io",
        resource: "leases",
        namespace,
        name: lease,
      };
      return { verb, allowed: await mayServiceAccount(client, serviceAccount, question, { signal }) };
    }),
  );
  const denied = answers.filter(({ allowed }) => !allowed).map(({ verb }) => verb);
  if (denied.length === 0) return [];
  return [
    {
      level: "error",
      code: "LeaseForbidden",
      where: `ServiceAccount ${serviceAccount.namespace}/${serviceAccount.name}`,
      what: `it may not ${denied.join(" and ")} Lease ${namespace}/${lease}, the lock of shard ${config.metadata.name}: its operator never becomes leader`,
      remedy: `kubectl -n ${namespace} create role ${lease} --verb=get,update --resource=leases --resource-name=${lease}, and bind it to the service account`,
    },
  ];
}
