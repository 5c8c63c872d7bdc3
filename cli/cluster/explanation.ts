import { bucketOf } from "#api/bucket";
import { atomName } from "#api/coverage";
import type { ShardLabels } from "#api/names";
import type { ServedResource } from "#manager/sharding/discovery";
import { isNeverFiltered } from "#manager/sharding/resource-patterns";
import { kindName, labelDifference, wantedLabels } from "#manager/sharding/stamp";
import { atomsOfLedger } from "#manager/snapshot/compile";
import type { NamespaceInventory } from "./inventory.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { roundOf } from "./rounds.ts";
import type { ServedKinds } from "./served-kinds.ts";
import type { LedgerPlace } from "./verify-kinds.ts";
import { shows, type View, viewIn, viewsOf } from "./views.ts";

/** The object, and its labels as they are. */
export interface ExplainedObject {
  readonly kind: ServedResource;
  /** Empty: cluster-scoped. */
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What `ctrlmesh explain` tells, as -o json prints it. */
export interface Explanation {
  readonly object: {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
  };
  /** Bucket of its namespace; of its own name where it has none. */
  readonly bucket: number;
  /** right; missing: none of ours; wrong: those of another namespace; none: it needs none. */
  readonly labels: "right" | "missing" | "wrong" | "none";
  /** Why sharding does not concern it at all; empty where it does. */
  readonly exempt: string;
  /** One per operator that limits the kind. */
  readonly operators: readonly OperatorView[];
  /** Something is wrong with its ownership. */
  readonly problems: readonly string[];
}

export interface OperatorView {
  /** namespace/name of the operator's ledger. */
  readonly ledger: string;
  /** What moves as one: the bucket, or the namespace where a selector names it. */
  readonly atom: string;
  /** Empty: nobody owns it now. */
  readonly owner: string;
  readonly state: "Held" | "Revoking" | "Free" | "Unknown";
  readonly epoch: number;
  /** Selector by which the owner sees it; empty where it passes unfiltered. */
  readonly rule: string;
  readonly pods: readonly { readonly name: string; readonly connected: boolean; readonly ready: boolean }[];
  /** Shards whose pods see it; more than one only where nothing is filtered. */
  readonly seenBy: readonly string[];
  /** Shards that claim it and don't have it. */
  readonly pending: readonly string[];
}

export interface ExplainDeps {
  readonly settings: MeshSettings;
  readonly served: ServedKinds;
}

/** Who owns an object, by what the ledgers say now. */
export function explain(
  object: ExplainedObject,
  inventory: readonly NamespaceInventory[],
  deps: ExplainDeps,
): Explanation {
  const { settings } = deps;
  const { kind, namespace, name } = object;
  const exempt = exemptionOf(object, settings);
  const operators = inventory.flatMap((each) => operatorViews(object, each, deps));
  const labels = labelState(object, settings);
  const problems =
    exempt === "" ? problemsOf(object, operators, { state: labels, shardLabels: settings.shardLabels }) : [];
  return {
    object: { kind: kindName(kind), namespace, name },
    bucket: bucketOf(namespace === "" ? name : namespace, settings.hash),
    labels,
    exempt,
    operators: exempt === "" ? operators : [],
    problems,
  };
}

function exemptionOf({ kind, namespace }: ExplainedObject, { exemptNamespaces }: MeshSettings): string {
  if (isNeverFiltered(kind)) return `${kindName(kind)} are never sharded: every pod sees all of them`;
  if (exemptNamespaces.includes(namespace))
    return `namespace ${namespace} is exempt: it is neither labelled nor sharded, every shard sees it`;
  return "";
}

function labelState(object: ExplainedObject, settings: MeshSettings): Explanation["labels"] {
  const { kind, labels } = object;
  // A Namespace goes with its content.
  const namespace = kindName(kind) === "namespaces" ? object.name : object.namespace;
  if (namespace === "" || isNeverFiltered(kind)) return "none";
  const wanted = wantedLabels(namespace, settings);
  if (Object.keys(wanted).length === 0) return "none";
  if (labelDifference(labels, wanted) === undefined) return "right";
  return labels[settings.shardLabels.hash] === undefined ? "missing" : "wrong";
}

function operatorViews(
  object: ExplainedObject,
  inventory: NamespaceInventory,
  { settings, served }: ExplainDeps,
): OperatorView[] {
  const round = roundOf(inventory, settings, served);
  return inventory.ledgers.flatMap((ledger) => {
    if (!("spec" in ledger)) return [];
    const place = { namespace: inventory.namespace, name: ledger.name, spec: ledger.spec };
    const views = viewsOf(ledger.spec, inventory.namespace, settings).map(({ shard, snapshots }) => ({
      shard,
      views: snapshots.map((snapshot) => viewIn(snapshot, object.kind)),
    }));
    const isLimited = views.some((each) => each.views.some(({ kind }) => kind === "selector"));
    if (!isLimited) return [];
    const plan = round.ledgers.find(({ duty }) => duty.ledgerName === ledger.name)?.plan;
    return [operatorView(object, place, { views, inventory, claims: plan?.shards ?? [] })];
  });
}

interface OperatorFacts {
  readonly views: readonly { readonly shard: string; readonly views: readonly View[] }[];
  readonly inventory: NamespaceInventory;
  readonly claims: readonly { readonly name: string; readonly claims: ReadonlySet<string> }[];
}

function operatorView(object: ExplainedObject, place: LedgerPlace, facts: OperatorFacts): OperatorView {
  const { views, inventory, claims } = facts;
  const atom = atomOf(object, place);
  const entry = place.spec.atoms.find((each) => each.atom === atom);
  const owner = entry?.shard ?? "";
  const isOwnNamespace = object.namespace === place.namespace;
  const seenBy = views
    .filter((each) => isOwnNamespace || each.views.some((view) => shows(view, object.labels)))
    .map(({ shard }) => shard);
  const ownerView = views.find(({ shard }) => shard === (owner === "" ? seenBy[0] : owner))?.views[0];
  const holders = place.spec.shards.find(({ name }) => name === owner)?.holders ?? [];
  const config = inventory.configs.readable.find(({ metadata }) => metadata.name === owner);
  return {
    ledger: `${place.namespace}/${place.name}`,
    atom,
    owner,
    state: entry?.state ?? "Unknown",
    epoch: entry?.epoch ?? 0,
    rule: ownerView?.kind === "selector" && !isOwnNamespace ? ownerView.text : "",
    pods: holders.map(({ pod, uid }) => {
      const told = config?.status?.pods?.find((each) => each.uid === uid);
      return { name: pod, connected: told?.connected === true, ready: told?.ready === true };
    }),
    seenBy,
    pending: claims.filter((shard) => shard.name !== owner && shard.claims.has(atom)).map(({ name }) => name),
  };
}

/** The atom that an object's namespace (or its own name, where it has none) belongs to. */
function atomOf({ namespace, name }: ExplainedObject, { spec }: LedgerPlace): string {
  const hashed = namespace === "" ? name : namespace;
  const atoms = atomsOfLedger(spec);
  const named = atoms.find((atom) => atom.kind === "namespace" && atom.namespace === namespace);
  return named === undefined ? `bucket/${bucketOf(hashed, spec.hash)}` : atomName(named);
}

function problemsOf(
  { kind, namespace, labels }: ExplainedObject,
  operators: readonly OperatorView[],
  { state, shardLabels }: { readonly state: Explanation["labels"]; readonly shardLabels: ShardLabels },
): string[] {
  const problems: string[] = [];
  if (state === "missing" && operators.length > 0)
    problems.push("it carries no shard labels: the manager sets them soon, or can't; see ctrlmesh check");
  if (state === "wrong")
    problems.push(
      `its labels say bucket ${labels[shardLabels.hash]} and namespace ${labels[shardLabels.namespace] ?? "none"}, which are not those of namespace ${namespace}`,
    );
  for (const { ledger, seenBy, owner } of operators) {
    if (`${ledger.split("/")[0]}` === namespace) continue;
    if (seenBy.length === 0) problems.push(`no shard of ${ledger} sees it`);
    if (seenBy.length > 1) problems.push(`${seenBy.join(" and ")} of ${ledger} see it`);
    const [only] = seenBy;
    if (seenBy.length === 1 && only !== owner && owner !== "" && kind.namespaced)
      problems.push(`${owner} owns it and ${only} sees it`);
  }
  return problems;
}
