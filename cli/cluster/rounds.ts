import type { PlanDeps } from "#manager/sharding/plan";
import { type NamespaceRound, openRound } from "#manager/sharding/round";
import type { NamespaceInventory } from "./inventory.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ServedKinds } from "./served-kinds.ts";

/** Labels are judged by a count of their own here, not by the manager's progress. */
const coverage: PlanDeps["coverage"] = {
  state: () => ({ complete: true, remaining: 0, stuck: [] }),
};

/** What the manager would make of a namespace now: its own rules, on what the API server has. */
export function roundOf(
  { namespace, configs, pods, ledgers }: NamespaceInventory,
  settings: Pick<MeshSettings, "shardLabels" | "hash">,
  catalog: ServedKinds,
): NamespaceRound {
  const { shardLabels: labels, hash } = settings;
  return openRound({ namespace, configs, pods, ledgers }, { labels, hash, catalog, coverage });
}
