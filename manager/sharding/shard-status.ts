import { isDeepStrictEqual } from "node:util";
import { type Condition, withCondition } from "#api/meta";
import type { ShardingConfig, ShardingConfigStatus } from "#api/sharding-config";
import type { LedgerSpec } from "../snapshot/compile.ts";
import type { GroupPlan, PlannedShard } from "./plan.ts";
import { foreignRequirements } from "./shard-limits.ts";

/** A fact of a shard that people should know of. Present: it is so. */
export interface Finding {
  readonly type: FindingType;
  readonly reason: string;
  readonly message: string;
}

/** In the order in which the first of them explains why a shard is not ready. */
export const findingTypes = [
  "ParseError",
  "RootPending",
  "Deleting",
  "LedgerCorrupt",
  "HashChanged",
  "PodConflict",
  "UninjectedPods",
  "Unreachable",
  "Labelling",
  "NoPods",
  "Replacing",
  "Acknowledging",
  "Overlap",
  "Regrouping",
  "Gap",
  "Unfenceable",
  "UnreachableFencePending",
  "WriteFencePending",
] as const;
export type FindingType = (typeof findingTypes)[number];

/** Told, and no reason for a shard not to be ready. */
const remarks: ReadonlySet<FindingType> = new Set<FindingType>([
  "Gap",
  "Unfenceable",
  "UnreachableFencePending",
  "WriteFencePending",
]);

export type PodStatus = NonNullable<ShardingConfigStatus["pods"]>[number];

export interface StatusFacts {
  readonly config: ShardingConfig;
  /** Undefined where no ledger can be used. */
  readonly ledger: LedgerSpec | undefined;
  readonly plan: GroupPlan | undefined;
  readonly pods: readonly PodStatus[];
  readonly findings: readonly Finding[];
  readonly now: Date;
}

/** `status` of a ShardingConfig; the stored one, by identity, when it says the same already. */
export function statusOf(facts: StatusFacts): ShardingConfigStatus {
  const { config, ledger, plan, pods, findings, now } = facts;
  const { name, generation } = config.metadata;
  const planned = plan?.shards.find((shard) => shard.name === name);
  const atoms = ledger === undefined || planned === undefined ? undefined : atomsOf(name, ledger, planned);
  const previous = config.status?.conditions ?? [];
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const wanted = [
    ...conditionsOf(atoms?.pending ?? [], atoms?.held ?? [], findings),
    ...findings.map(({ type, reason, message }) => ({ type, status: "True" as const, reason, message })),
  ];
  const conditions = wanted.reduce<Condition[]>(
    (list, condition) => withCondition(list, { ...condition, ...observed }, now),
    previous.filter(({ type }) => wanted.some((condition) => condition.type === type)),
  );
  const stored = config.status ?? {};
  const next: ShardingConfigStatus = {
    ...observed,
    conditions,
    podsReady: `${pods.filter(({ ready }) => ready === true).length}/${pods.length}`,
    pods: [...pods].sort((a, b) => (a.name < b.name ? -1 : 1)),
    ...(ledger === undefined ? {} : { epoch: highestEpoch(name, ledger, stored.epoch ?? 0) }),
    ...(atoms === undefined
      ? {}
      : {
          atoms: {
            held: printAtoms(atoms.held),
            pending: printAtoms(atoms.pending),
            revoking: printAtoms(atoms.revoking),
          },
        }),
    ...(planned === undefined ? {} : { coverage: coverageOf(planned) }),
    ...(stored.root === undefined ? {} : { root: stored.root }),
  };
  return isDeepStrictEqual(next, config.status) ? (config.status ?? next) : next;
}

function conditionsOf(pending: readonly string[], held: readonly string[], findings: readonly Finding[]) {
  const blocking = findingTypes
    .filter((type) => !remarks.has(type))
    .flatMap((type) => findings.filter((finding) => finding.type === type));
  const [first] = blocking;
  const isGranted = pending.length === 0 && held.length > 0;
  const granted = isGranted
    ? { status: "True" as const, reason: "AllHeld", message: `holds ${printAtoms(held)}` }
    : {
        status: "False" as const,
        reason: held.length > 0 ? "PartlyPending" : "Pending",
        message:
          first?.message ?? (pending.length > 0 ? `waits for ${printAtoms(pending)}` : "claims nothing"),
      };
  const ready =
    first === undefined && isGranted
      ? { status: "True" as const, reason: "Granted", message: "all that the spec claims is granted" }
      : {
          status: "False" as const,
          reason: first?.reason ?? granted.reason,
          message: first?.message ?? granted.message,
        };
  return [
    { type: "Ready", ...ready },
    { type: "Granted", ...granted },
  ];
}

interface ShardAtoms {
  readonly held: readonly string[];
  readonly pending: readonly string[];
  readonly revoking: readonly string[];
}

function atomsOf(shard: string, ledger: LedgerSpec, { claims }: PlannedShard): ShardAtoms {
  const own = ledger.atoms.filter((atom) => atom.shard === shard);
  const held = own.filter(({ state }) => state === "Held").map(({ atom }) => atom);
  const holds = new Set(held);
  const known = new Set(ledger.atoms.map(({ atom }) => atom));
  return {
    held,
    pending: [...claims].filter((atom) => !holds.has(atom) && known.has(atom)),
    revoking: own.filter(({ state }) => state === "Revoking").map(({ atom }) => atom),
  };
}

function highestEpoch(shard: string, { atoms }: LedgerSpec, before: number): number {
  return atoms.reduce(
    (highest, atom) => (atom.shard === shard ? Math.max(highest, atom.epoch) : highest),
    before,
  );
}

function coverageOf({ labelling }: PlannedShard): NonNullable<ShardingConfigStatus["coverage"]> {
  const stuck = labelling.flatMap((gap) => gap.stuck.map((each) => `${gap.resource} ${each}`.slice(0, 2048)));
  const counted = labelling.every(({ remaining }) => remaining !== undefined);
  return {
    labelled: labelling.length === 0,
    ...(counted
      ? { unlabelledObjects: labelling.reduce((sum, { remaining = 0 }) => sum + remaining, 0) }
      : {}),
    ...(stuck.length === 0 ? {} : { stuck: stuck.slice(0, 100) }),
  };
}

/** "namespaces team-a, team-b; buckets 0-7, 9"; "none" for no atoms. */
export function printAtoms(names: readonly string[]): string {
  const namespaces = names.flatMap((name) => (name.startsWith("namespace/") ? [name.slice(10)] : [])).sort();
  const buckets = names
    .flatMap((name) => (name.startsWith("bucket/") ? [Number(name.slice(7))] : []))
    .sort((a, b) => a - b);
  const parts = [
    ...(namespaces.length === 0 ? [] : [`namespaces ${namespaces.join(", ")}`]),
    ...(buckets.length === 0 ? [] : [`buckets ${ranges(buckets).join(", ")}`]),
  ];
  const text = parts.length === 0 ? "none" : parts.join("; ");
  return text.length <= 65536 ? text : `${text.slice(0, 65535)}…`;
}

function ranges(sorted: readonly number[]): string[] {
  const runs: [number, number][] = [];
  for (const value of sorted) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === value - 1) last[1] = value;
    else runs.push([value, value]);
  }
  return runs.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
}

/** What the ledger and the specs of its group say about one shard. */
export function planFindings(planned: PlannedShard, ledger: LedgerSpec, plan: GroupPlan): Finding[] {
  const findings: Finding[] = [];
  const { labelling } = planned;
  if (plan.hash !== ledger.hash) {
    const message = `the manager hashes namespaces by ${plan.hash}, and pods still hold what ${ledger.hash} gave them; end all pods of the group, or change --hash back`;
    findings.push({ type: "HashChanged", reason: "OtherHash", message });
  }
  if (labelling.length > 0) {
    const counts = labelling.map(
      ({ resource, remaining }) => `${resource} (${remaining ?? "not counted yet"})`,
    );
    const stuck = labelling.some((gap) => gap.stuck.length > 0);
    const message = `the limits wait until every object carries its labels; left: ${counts.join(", ")}`;
    findings.push({ type: "Labelling", reason: stuck ? "ObjectsRefuseLabels" : "InProgress", message });
  }
  findings.push(...overlapFindings(planned, plan), ...gapFindings(plan));
  const foreign = [...new Set(foreignRequirements(planned.view.limits, plan.labels).map(({ key }) => key))];
  if (foreign.length > 0) {
    const message = `limits by ${foreign.join(", ")} follow labels that anybody may change: objects that move by them have no fence`;
    findings.push({ type: "Unfenceable", reason: "OtherLabels", message });
  }
  return findings;
}

function overlapFindings(planned: PlannedShard, { shards }: GroupPlan): Finding[] {
  return shards
    .flatMap((other) => {
      const shared = [...planned.claims].filter((atom) => other.claims.has(atom));
      if (other.name === planned.name || shared.length === 0) return [];
      const message = `${other.name} claims ${printAtoms(shared)} too; what one holds the other waits for`;
      return [{ type: "Overlap" as const, reason: "ClaimedTwice", message }];
    })
    .slice(0, 1);
}

function gapFindings({ shards, needed }: GroupPlan): Finding[] {
  const unclaimed = [...needed].filter((atom) => !shards.some(({ claims }) => claims.has(atom)));
  if (unclaimed.length === 0) return [];
  const message = `no shard of the group claims ${printAtoms(unclaimed)}: nobody acts on objects there`;
  return [{ type: "Gap", reason: "Unclaimed", message }];
}
