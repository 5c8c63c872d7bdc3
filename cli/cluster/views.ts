import type { Selector } from "#api/coverage";
import { Grant, type Snapshot } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseSelector, printSelector, selectorMatches } from "#api/label-selector";
import { type GroupResource, matches } from "#manager/sharding/resource-patterns";
import { compileSnapshot, type LedgerSpec } from "#manager/snapshot/compile";
import type { MeshSettings } from "./mesh-settings.ts";

/** What the pods of one shard see of one resource. */
export type View =
  | { readonly kind: "selector"; readonly selector: Selector; readonly text: string }
  /** Not limited, or one that passes all the same. */
  | { readonly kind: "everything" }
  /** Nothing is granted: each request is answered with 429. */
  | { readonly kind: "nothing" };

/** The views of one shard, one per pod: while something moves they may differ. */
export interface ShardViews {
  readonly shard: string;
  readonly snapshots: readonly Snapshot[];
}

/** No pod is called so. */
const noPod = "-";

/**
 * The snapshots that the ledger gives the pods of each shard, by the manager's own compiler. A shard without pods has
 * the one that a pod would get.
 *
 * @throws LEDGER_CORRUPT
 */
export function viewsOf(
  ledger: LedgerSpec,
  namespace: string,
  { shardLabels: labels, exemptNamespaces }: Pick<MeshSettings, "shardLabels" | "exemptNamespaces">,
): ShardViews[] {
  return ledger.shards.map((shard) => {
    const holders = shard.holders.length > 0 ? shard.holders : [{ pod: noPod, uid: noPod }];
    const withHolders = { ...shard, holders };
    const shards = ledger.shards.map((each) => (each === shard ? withHolders : each));
    const snapshots = holders.map(({ uid }) =>
      compileSnapshot(
        { ...ledger, shards },
        { uid, namespace, shard: shard.name },
        { labels, exemptNamespaces },
        "",
      ),
    );
    return { shard: shard.name, snapshots };
  });
}

/** What a snapshot shows of a resource: the first limit whose patterns match decides, as in the proxy. */
export function viewIn(snapshot: Snapshot, resource: GroupResource): View {
  if (snapshot.grant !== Grant.GRANTED) return { kind: "nothing" };
  const isSame = (each: GroupResource): boolean =>
    each.group === resource.group && each.resource === resource.resource;
  if (snapshot.unfilteredResources.some(isSame)) return { kind: "everything" };
  const limit = snapshot.limits.find(({ groups, resources }) =>
    matches({ apiGroups: groups, resources }, resource),
  );
  if (limit === undefined) return { kind: "everything" };
  const selector = parseSelector(limit.selector);
  return { kind: "selector", selector, text: printSelector(selector) };
}

/** Whether a view shows an object with these labels. */
export function shows(view: View, labels: Readonly<Record<string, string>>): boolean {
  switch (view.kind) {
    case "selector":
      return selectorMatches(view.selector, labels);
    case "everything":
      return true;
    case "nothing":
      return false;
  }
}
