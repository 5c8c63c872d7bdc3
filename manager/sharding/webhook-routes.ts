import { compileWebhookRoutes, type RelayPod, webhookRoutesKey } from "../snapshot/webhook-routes.ts";
import type { LedgerRound } from "./round.ts";
import type { ShardingDeps } from "./sharding-deps.ts";

/** Tells the pods of a group which of them answer admission reviews about which namespaces, if they ask for it. */
export function offerWebhookRoutes(
  { duty, ledger, pods }: Pick<LedgerRound, "duty" | "ledger" | "pods">,
  namespace: string,
  { proxies, exemptNamespaces, relayKey }: Pick<ShardingDeps, "proxies" | "exemptNamespaces" | "relayKey">,
): void {
  if (!pods.some(({ observed }) => observed?.relayAddress !== undefined)) return;
  const configs = duty.group?.configs ?? [];
  const routes = compileWebhookRoutes(ledger, {
    shards: configs.filter(({ spec }) => spec.webhook !== undefined).map(({ metadata }) => metadata.name),
    pods: pods.flatMap(relayPods),
    unshardedNamespaces: [namespace, ...exemptNamespaces],
    relayKey: relayKey(namespace, duty.ledgerName),
  });
  const contentKey = webhookRoutesKey(routes);
  for (const { uid } of pods) proxies.offerWebhookRoutes(uid, routes, contentKey);
}

/** One that ends is left out before its readiness says so: its operator may be gone first. */
function relayPods({ pod, shard, observed }: LedgerRound["pods"][number]): RelayPod[] {
  if (observed?.relayAddress === undefined || !observed.ready || observed.terminating) return [];
  return [{ pod, shard, address: observed.relayAddress }];
}
