import type { KubernetesObject } from "#api/meta";
import type { ServedResource } from "#manager/sharding/discovery";
import { isLabelable } from "#manager/sharding/resource-patterns";
import { patternOf } from "#manager/sharding/shard-limits";
import { kindName, labelDifference, namespacedKind, wantedLabels } from "#manager/sharding/stamp";
import type { LedgerSpec } from "#manager/snapshot/compile";
import { OwnerTally, type Sample, Sampler } from "../owner-tally.ts";
import type { ClusterSession } from "./connection.ts";
import { eachPage } from "./each-page.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ServedKinds } from "./served-kinds.ts";
import { shows, type View, viewIn, viewsOf } from "./views.ts";

/** The shards of one operator, as their ledger has them. */
export interface LedgerPlace {
  readonly namespace: string;
  readonly name: string;
  readonly spec: LedgerSpec;
}

/** Objects of one kind, counted under the shards of one operator. */
export interface KindTally {
  readonly ledger: string;
  readonly kind: string;
  /** All of them, the exempt ones included. */
  readonly objects: number;
  readonly byShard: Readonly<Record<string, number>>;
  readonly unowned: Sample;
  readonly shared: Sample;
  /** Labelled, and not as their namespace: the wrong shard sees them. */
  readonly mislabelled: Sample;
  /** Without shard labels; they count under the shard that takes what no other takes. */
  readonly unlabelled: Sample;
  /** In exempt namespaces or the operator's own, where every shard sees everything. */
  readonly exempt: number;
}

const exampleLimit = 5;

interface Counter {
  readonly ledger: LedgerPlace;
  readonly views: readonly { readonly shard: string; readonly views: readonly View[] }[];
  readonly open: ReadonlySet<string>;
  tally: OwnerTally;
  mislabelled: Sampler;
  unlabelled: Sampler;
  exempt: number;
  objects: number;
}

/**
 * Lists each limited kind once, metadata only, and counts every object under the shards that see it. Memory does not
 * grow with the number of objects.
 */
export async function tallyKinds(
  ledgers: readonly LedgerPlace[],
  settings: MeshSettings,
  served: ServedKinds,
  { client, signal, progress }: ClusterSession,
): Promise<readonly KindTally[]> {
  const kinds = new Map<string, { kind: ServedResource; ledgers: LedgerPlace[] }>();
  for (const ledger of ledgers) {
    for (const kind of limitedBy(ledger, served)) {
      const known = kinds.get(kindName(kind));
      if (known === undefined) kinds.set(kindName(kind), { kind, ledgers: [ledger] });
      else known.ledgers.push(ledger);
    }
  }
  const tallies: KindTally[] = [];
  for (const { kind, ledgers: limiting } of kinds.values()) {
    const counters = limiting.map((ledger) => counterOf(ledger, kind, settings));
    await progress.step(`counting ${kindName(kind)}`, () =>
      eachPage(
        client,
        namespacedKind(kind),
        {},
        {
          onStart: () => counters.forEach(reset),
          onPage: (objects) => {
            for (const object of objects) for (const counter of counters) count(object, counter, settings);
          },
        },
        { signal },
      ),
    );
    tallies.push(...counters.map((counter) => tallyOf(counter, kindName(kind))));
  }
  return tallies;
}

/**
 * Group versions that some shard limits and whose server did not answer, as `<group>/<version>`: their kinds are
 * unknown, so that nobody has counted them.
 */
export function uncountedVersions(
  ledgers: readonly LedgerPlace[],
  { unknown }: Pick<ServedKinds, "unknown">,
): readonly string[] {
  const groups = new Set(
    ledgers.flatMap(({ spec }) => limitsOf(spec).flatMap((limit) => patternOf(limit).apiGroups)),
  );
  return unknown.filter((version) => groups.has("*") || groups.has(version.split("/")[0] ?? ""));
}

function limitedBy({ spec }: LedgerPlace, served: ServedKinds): readonly ServedResource[] {
  return served.resolve(limitsOf(spec).map(patternOf)).filter(isLabelable);
}

function limitsOf({ shards }: LedgerSpec) {
  return shards.flatMap((shard) => [...shard.limits, ...(shard.prior?.limits ?? [])]);
}

function counterOf(ledger: LedgerPlace, kind: ServedResource, settings: MeshSettings): Counter {
  const views = viewsOf(ledger.spec, ledger.namespace, settings).map(({ shard, snapshots }) => ({
    shard,
    views: snapshots.map((snapshot) => viewIn(snapshot, kind)),
  }));
  const open = new Set([...settings.exemptNamespaces, ledger.namespace]);
  return { ledger, views, open, ...zero() };
}

function zero() {
  return {
    tally: new OwnerTally(exampleLimit),
    mislabelled: new Sampler(exampleLimit),
    unlabelled: new Sampler(exampleLimit),
    exempt: 0,
    objects: 0,
  };
}

function reset(counter: Counter): void {
  Object.assign(counter, zero());
}

function count({ metadata = {} }: KubernetesObject, counter: Counter, settings: MeshSettings): void {
  const { namespace = "", name = "", labels = {} } = metadata;
  counter.objects++;
  if (counter.open.has(namespace)) {
    counter.exempt++;
    return;
  }
  const place = `${namespace}/${name}`;
  if (labels[settings.shardLabels.hash] === undefined) counter.unlabelled.add(place);
  else if (labelDifference(labels, wantedLabels(namespace, settings)) !== undefined)
    counter.mislabelled.add(place);
  const owners = counter.views
    .filter(({ views }) => views.some((view) => shows(view, labels)))
    .map(({ shard }) => shard);
  counter.tally.add(place, owners);
}

function tallyOf(counter: Counter, kind: string): KindTally {
  const { ledger, views, tally, mislabelled, unlabelled, exempt, objects } = counter;
  return {
    ledger: `${ledger.namespace}/${ledger.name}`,
    kind,
    objects,
    byShard: Object.fromEntries(views.map(({ shard }) => [shard, tally.countOf(shard)])),
    unowned: sampleOf(tally.unowned),
    shared: sampleOf(tally.shared),
    mislabelled: sampleOf(mislabelled),
    unlabelled: sampleOf(unlabelled),
    exempt,
  };
}

/** A sampler's values, which are printed; its getters are not. */
function sampleOf({ count: total, examples }: Sampler): Sample {
  return { count: total, examples: [...examples] };
}
