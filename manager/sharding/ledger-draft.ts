import { atomName } from "#api/coverage";
import type { LedgerAtom, LedgerHolder, LedgerLimit, LedgerShard } from "#api/ownership-ledger";
import type { LedgerSpec } from "../snapshot/compile.ts";
import type { GroupPlan } from "./plan.ts";

/** A ledger while one step is computed. Values are replaced, lists are changed in place. */
export interface LedgerDraft {
  group: string;
  hash: LedgerSpec["hash"];
  term: number;
  epoch: number;
  /** By name, in the order of the ledger. */
  atoms: Map<string, DraftAtom>;
  shards: Map<string, DraftShard>;
}

export type DraftAtom = { -readonly [K in keyof LedgerAtom]: LedgerAtom[K] };

export interface DraftShard {
  name: string;
  onLoss: LedgerShard["onLoss"];
  settleSeconds: number;
  limits: readonly LedgerLimit[];
  unfilteredResources: LedgerShard["unfilteredResources"];
  withdrawn: boolean;
  prior: LedgerShard["prior"];
  holders: DraftHolder[];
}

export interface DraftHolder {
  pod: string;
  uid: string;
  lost: Set<string>;
  prior: boolean;
  unbound: boolean;
}

export function openDraft(ledger: LedgerSpec): LedgerDraft {
  return {
    ...ledger,
    atoms: new Map(ledger.atoms.map((atom) => [atom.atom, { ...atom }])),
    shards: new Map(
      ledger.shards.map((shard) => [
        shard.name,
        {
          ...shard,
          prior: shard.prior,
          withdrawn: shard.withdrawn ?? false,
          holders: shard.holders.map(({ pod, uid, lost = [], prior = false, unbound = false }) => ({
            pod,
            uid,
            lost: new Set(lost),
            prior,
            unbound,
          })),
        },
      ]),
    ),
  };
}

/** The ledger of a draft, in one canonical form: equal drafts give equal ledgers. */
export function closeDraft({ atoms, shards, ...rest }: LedgerDraft): LedgerSpec {
  return {
    ...rest,
    atoms: [...atoms.values()],
    shards: [...shards.values()].map(closeShard),
  };
}

function closeShard({ withdrawn, prior, holders, ...rest }: DraftShard): LedgerShard {
  return {
    ...rest,
    ...(withdrawn ? { withdrawn } : {}),
    ...(prior === undefined ? {} : { prior }),
    holders: holders.map(closeHolder),
  };
}

function closeHolder({ pod, uid, lost, prior, unbound }: DraftHolder): LedgerHolder {
  return {
    pod,
    uid,
    ...(lost.size === 0 ? {} : { lost: [...lost].sort() }),
    ...(prior ? { prior } : {}),
    ...(unbound ? { unbound } : {}),
  };
}

export function isRemoved(shard: Pick<DraftShard, "name">, plan: GroupPlan): boolean {
  return !plan.shards.some(({ name }) => name === shard.name);
}

/**
 * Brings the atoms in step with the names in the selectors. A namespace that is named now leaves its bucket with
 * all that holds for the bucket; one that nobody names any more goes back when owner, state and every pod's
 * losses are those of its bucket, and until then is an atom that moves like any other.
 */
export function syncAtoms(draft: LedgerDraft, plan: GroupPlan): void {
  const free = { shard: "", state: "Free", epoch: draft.epoch } as const;
  for (const atom of plan.atoms) {
    const name = atomName(atom);
    if (draft.atoms.has(name)) continue;
    const bucket = `bucket/${atom.bucket}`;
    draft.atoms.set(name, { ...(draft.atoms.get(bucket) ?? free), atom: name });
    for (const holder of holdersOf(draft)) if (holder.lost.has(bucket)) holder.lost.add(name);
  }
  for (const atom of plan.atoms) {
    const name = atomName(atom);
    const own = draft.atoms.get(name);
    const bucket = draft.atoms.get(`bucket/${atom.bucket}`);
    if (atom.kind === "bucket" || plan.needed.has(name) || own === undefined || bucket === undefined)
      continue;
    const sameOwner = own.shard === bucket.shard && own.state === bucket.state;
    const sameLosses = holdersOf(draft).every(({ lost }) => lost.has(name) === lost.has(bucket.atom));
    if (!sameOwner || !sameLosses) continue;
    bucket.epoch = Math.max(bucket.epoch, own.epoch);
    draft.atoms.delete(name);
    for (const { lost } of holdersOf(draft)) lost.delete(name);
  }
}

function holdersOf(draft: LedgerDraft): DraftHolder[] {
  return [...draft.shards.values()].flatMap(({ holders }) => holders);
}
