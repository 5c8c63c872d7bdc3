import { isDeepStrictEqual } from "node:util";
import type { HashName } from "#api/bucket";
import { type Atom, atomName, atomsOf, claims, otherRequirements, type Selector } from "#api/coverage";
import { printSelector, selectorMatches } from "#api/label-selector";
import type { ShardLabels } from "#api/names";
import type { LedgerLimit, LedgerShard } from "#api/ownership-ledger";
import { atomsOfLedger, type LedgerSpec } from "../snapshot/compile.ts";
import type { ShardGroup } from "./groups.ts";
import type { LabelCoverage } from "./healing.ts";
import { isLabelable } from "./resource-patterns.ts";
import {
  type CatalogView,
  patternOf,
  resourceName,
  type ShardView,
  selectorsOf,
  viewOf,
} from "./shard-limits.ts";

/** What the ShardingConfigs of a group ask for, compared with what the ledger has in force. */
export interface GroupPlan {
  readonly group: string;
  readonly hash: HashName;
  readonly labels: ShardLabels;
  /** Atoms of all selectors asked for and in force, and all of the ledger: each claim can be judged exactly. */
  readonly atoms: readonly Atom[];
  /** Names of those that a selector still needs; a namespace beside them goes back into its bucket. */
  readonly needed: ReadonlySet<string>;
  /** In order of seniority: of two that claim a free atom the first one gets it. */
  readonly shards: readonly PlannedShard[];
  /** Reasons why nobody in the group is granted anything now; what is granted stays. */
  readonly blockers: readonly string[];
}

export interface PlannedShard {
  readonly name: string;
  readonly onLoss: LedgerShard["onLoss"];
  readonly settleSeconds: number;
  readonly view: ShardView;
  /** Names of the atoms that the view's limits match. */
  readonly claims: ReadonlySet<string>;
  /** How the view differs from the one in force. `narrows`: a running operator would see deletions. */
  readonly change: "none" | "widens" | "narrows";
  /** Kinds whose labels must be complete before the view may be in force. */
  readonly labelling: readonly LabellingGap[];
}

export interface LabellingGap {
  readonly resource: string;
  /** Unlabelled objects; undefined: not counted yet. */
  readonly remaining: number | undefined;
  /** Objects that refuse their labels, with the reason. */
  readonly stuck: readonly string[];
}

export interface PlanDeps {
  readonly labels: ShardLabels;
  readonly hash: HashName;
  readonly catalog: CatalogView;
  readonly coverage: Pick<LabelCoverage, "state">;
}

export interface PlanRequest extends Pick<ShardGroup, "name" | "configs"> {
  /** Recorded shards whose ShardingConfigs are in another group now: they give up all they have here. */
  readonly leaving: readonly string[];
  /** Recorded shards whose ShardingConfigs cannot be read: nothing is taken from them, nothing given. */
  readonly frozen?: readonly string[];
  readonly ledger: LedgerSpec;
  readonly blockers: readonly string[];
}

/** Compares specs and ledger. */
export function planGroup(
  { name, configs, leaving, frozen = [], ledger, blockers }: PlanRequest,
  deps: PlanDeps,
): GroupPlan {
  const { labels, hash } = deps;
  const wanted = configs.map((config) => ({ config, view: viewOf(config, labels, deps.catalog) }));
  const inForce = ledger.shards.flatMap(({ limits, prior }) => [...limits, ...(prior?.limits ?? [])]);
  const selectors = [...wanted.flatMap(({ view }) => selectorsOf(view.limits)), ...selectorsOf(inForce)];
  const needed = atomsOf(selectors, labels, hash);
  const neededNames = new Set(needed.map(atomName));
  const atoms = [...needed, ...atomsOfLedger(ledger).filter((atom) => !neededNames.has(atomName(atom)))];
  const shards = wanted.map(({ config: { metadata, spec }, view }): PlannedShard => {
    const shard = ledger.shards.find((each) => each.name === metadata.name);
    const claimed = selectorsOf(view.limits).flatMap((selector) => [...claims(selector, atoms, labels)]);
    return {
      name: metadata.name,
      onLoss: spec.onLoss,
      settleSeconds: spec.handover.settleSeconds,
      view,
      claims: new Set(claimed),
      change: changeOf(shard ?? nothingInForce, view, { atoms, ...deps }),
      labelling: labellingGaps(shard ?? nothingInForce, view, deps),
    };
  });
  const group = { group: name, hash, labels, atoms, needed: neededNames, blockers };
  const kept = ledger.shards.flatMap((shard) => {
    if (frozen.includes(shard.name)) return [keepView(shard, ownedAtoms(ledger, shard.name))];
    return leaving.includes(shard.name) ? [keepView(shard, [])] : [];
  });
  return { ...group, shards: [...shards, ...kept] };
}

/** Keeps its view, so that running operators see no deletions. */
function keepView(shard: LedgerShard, claimed: readonly string[]): PlannedShard {
  const { name, onLoss, settleSeconds, limits, unfilteredResources } = shard;
  const view = { limits, unfilteredResources };
  return { name, onLoss, settleSeconds, view, claims: new Set(claimed), change: "none", labelling: [] };
}

function ownedAtoms(ledger: LedgerSpec, shard: string): string[] {
  return ledger.atoms.flatMap((atom) => (atom.shard === shard && atom.state === "Held" ? [atom.atom] : []));
}

const nothingInForce: ShardView = { limits: [], unfilteredResources: [] };

interface ChangeDeps extends PlanDeps {
  readonly atoms: readonly Atom[];
}

function changeOf(inForce: ShardView, wanted: ShardView, deps: ChangeDeps): PlannedShard["change"] {
  const { limits, unfilteredResources } = inForce;
  if (isDeepStrictEqual({ limits, unfilteredResources }, wanted)) return "none";
  if (limits.length === 0) return "widens";
  if (limits.length !== wanted.limits.length) return "narrows";
  const keepsAll = limits.every((limit, index) => {
    const next = wanted.limits[index];
    return next !== undefined && covers(next, limit, deps);
  });
  return keepsAll && !startsToFilter(inForce, wanted, deps) ? "widens" : "narrows";
}

/** Whether all that a limit shows is shown by the next one in its place. */
function covers(next: LedgerLimit, previous: LedgerLimit, { atoms, labels }: ChangeDeps): boolean {
  const samePatterns = isDeepStrictEqual(patternOf(next), patternOf(previous));
  const [after, before] = [selectorsOf([next])[0] ?? [], selectorsOf([previous])[0] ?? []];
  const foreign = (selector: Selector) => printSelector(otherRequirements(selector, labels));
  const losesUnlabelled = selectorMatches(before, {}) && !selectorMatches(after, {});
  return (
    samePatterns &&
    foreign(after) === foreign(before) &&
    !losesUnlabelled &&
    isSubset(claims(before, atoms, labels), claims(after, atoms, labels))
  );
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  return [...part].every((name) => whole.has(name));
}

/** Whether a resource that passed is filtered from now on. One that is not served any more does not count. */
function startsToFilter(inForce: ShardView, wanted: ShardView, { catalog }: PlanDeps): boolean {
  const passing = new Set(wanted.unfilteredResources.map(resourceName));
  const passed = new Set(inForce.unfilteredResources.map(resourceName));
  return catalog
    .resolve(wanted.limits.map(patternOf))
    .map(resourceName)
    .some((name) => passed.has(name) && !passing.has(name));
}

function labellingGaps(inForce: ShardView, wanted: ShardView, deps: PlanDeps): LabellingGap[] {
  const { catalog, coverage } = deps;
  const limited = new Set(catalog.resolve(inForce.limits.map(patternOf)).map(resourceName));
  for (const passed of inForce.unfilteredResources) limited.delete(resourceName(passed));
  return catalog
    .resolve(wanted.limits.map(patternOf))
    .filter((served) => isLabelable(served) && !limited.has(resourceName(served)))
    .flatMap((served) => {
      const { complete, remaining, stuck } = coverage.state(served);
      if (complete) return [];
      const names = stuck.map(({ namespace, name, reason }) => `${namespace}/${name}: ${reason}`);
      return [{ resource: resourceName(served), remaining, stuck: names }];
    });
}
