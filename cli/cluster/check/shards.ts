import type { KubernetesObject } from "#api/meta";
import { type FindingType, findingTypes, planFindings } from "#manager/sharding/shard-status";
import { conditionsOf } from "../conditions.ts";
import type { NamespaceInventory } from "../inventory.ts";
import { roundOf } from "../rounds.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding, Level } from "./finding.ts";

/** ShardingConfigs: readable, without overlaps and gaps, ready; ledgers usable. */
export const shardsCheck: Check = {
  name: "shards",
  phases: ["after"],
  run: async (context) => {
    const { inventory } = context;
    const findings = inventory.flatMap((each) => [
      ...unreadable(each),
      ...coverageFindings(each, context),
      ...each.objects.flatMap(conditionFindings),
    ]);
    const count = inventory.reduce((sum, { objects }) => sum + objects.length, 0);
    return { summary: `${count} ShardingConfigs in ${inventory.length} namespaces`, findings };
  },
};

function unreadable({ namespace, configs, ledgers }: NamespaceInventory): Finding[] {
  const bad = [...configs.unreadable].map(
    ([name, problem]): Finding => ({
      level: "error",
      code: "ConfigUnreadable",
      where: placeOf(namespace, name),
      what: problem,
      remedy: "correct the field that is named",
    }),
  );
  const corrupt = ledgers.flatMap((ledger): Finding[] =>
    "corrupt" in ledger
      ? [
          {
            level: "error",
            code: "LedgerCorrupt",
            where: `OwnershipLedger ${namespace}/${ledger.name}`,
            what: ledger.corrupt.message,
            remedy: "nothing is granted by it; correct it, or delete it when no pod of its shards runs",
          },
        ]
      : [],
  );
  return [...bad, ...corrupt];
}

/** Computed anew, so that they are told also while no manager writes conditions. */
function coverageFindings(inventory: NamespaceInventory, { settings, served }: CheckContext): Finding[] {
  const told = new Set<string>();
  return roundOf(inventory, settings, served).ledgers.flatMap(({ plan, ledger }) =>
    plan.shards.flatMap((planned) =>
      planFindings(planned, ledger, plan).flatMap(({ type, message }): Finding[] => {
        if (type !== "Overlap" && type !== "Gap") return [];
        // A gap is the same for all shards of a group.
        if (type === "Gap" && told.has(plan.group)) return [];
        told.add(plan.group);
        const isOverlap = type === "Overlap";
        return [
          {
            level: isOverlap ? "error" : "warning",
            code: isOverlap ? "ShardsOverlap" : "ShardsGap",
            where: placeOf(inventory.namespace, planned.name),
            what: message,
            remedy: isOverlap
              ? "let one of the selectors claim them"
              : "add them to the selector of one shard, best with NotIn in the last one",
          },
        ];
      }),
    ),
  );
}

/** Found here by looking at the cluster itself, which also works without a manager. */
const judgedElsewhere: ReadonlySet<string> = new Set<FindingType>([
  "Overlap",
  "Gap",
  "UninjectedPods",
  "ParseError",
  "LedgerCorrupt",
]);

/** They pass by themselves, or ask for nothing. */
const passing: ReadonlySet<string> = new Set<FindingType>([
  "Labelling",
  "Replacing",
  "Acknowledging",
  "NoPods",
  "Deleting",
  "Regrouping",
  "Unfenceable",
  "RootPending",
  "UnreachableFencePending",
  "WriteFencePending",
]);

/** What the manager says of a shard. */
export function conditionFindings(object: KubernetesObject): Finding[] {
  const { namespace = "", name = "", generation } = object.metadata ?? {};
  const where = placeOf(namespace, name);
  const conditions = conditionsOf(object);
  const ready = conditions.find(({ type }) => type === "Ready");
  const finding = (level: Level, what: string): Finding => ({
    level,
    code: "ShardNotReady",
    where,
    what,
    remedy: `ctrlmesh status -n ${namespace}`,
  });
  const told = conditions
    .filter(({ type, status }) => status === "True" && isOfOurs(type) && !judgedElsewhere.has(type))
    .map(({ type, message }) => finding(passing.has(type) ? "warning" : "error", `${type}: ${message}`));
  if (told.length > 0) return told;
  if (ready === undefined) return [finding("warning", "no manager has looked at it yet")];
  if (ready.observedGeneration !== generation)
    return [finding("warning", "its newest version has not been seen by a manager yet")];
  if (
    ready.status === "True" ||
    conditions.some(({ type, status }) => status === "True" && judgedElsewhere.has(type))
  )
    return [];
  return [finding("warning", ready.message)];
}

function isOfOurs(type: string): boolean {
  return (findingTypes as readonly string[]).includes(type);
}

function placeOf(namespace: string, name: string): string {
  return `ShardingConfig ${namespace}/${name}`;
}
