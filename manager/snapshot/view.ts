import { type Atom, atomName, claims, otherRequirements, type Selector } from "#api/coverage";
import { type Requirement, valueMatches } from "#api/label-selector";
import type { ShardLabels } from "#api/names";

/** What a limit's selector is restricted to. */
export interface ViewScope {
  /** Every atom of the group, the limit's own named namespaces included. */
  readonly atoms: readonly Atom[];
  /** Names of the atoms that the pod may see. */
  readonly seen: ReadonlySet<string>;
  readonly labels: ShardLabels;
}

export interface RestrictedView {
  /** Never empty. */
  readonly selector: Selector;
  /** Atoms that are claimed and may be seen, and that no conjunction with the others could express. */
  readonly inexpressible: readonly string[];
}

/** No bucket is called so: `In` matches nothing, `NotIn` everything. */
const noBucket = "none";

/** A limit without a selector is no filter; text forms and the wire need one that says so. */
export function everything(labels: ShardLabels): Selector {
  return [{ key: labels.hash, operator: "NotIn", values: [noBucket] }];
}

function nothing(labels: ShardLabels): Selector {
  return [{ key: labels.hash, operator: "In", values: [noBucket] }];
}

/**
 * Restricts a limit to the atoms that a pod may see. The result never selects an object of another atom; where
 * the rest cannot be said in one conjunction it selects less, which is safe. Requirements on other labels stay.
 *
 * Objects without shard labels belong to no atom, and any number of selectors may match them; only a pod that
 * sees all atoms of its group sees them too.
 */
export function restrictView(selector: Selector, scope: ViewScope): RestrictedView {
  const { atoms, seen, labels } = scope;
  const claimed = claims(selector, atoms, labels);
  const held = atoms.filter((atom) => claimed.has(atomName(atom)) && seen.has(atomName(atom)));
  if (held.length === 0) return { selector: nothing(labels), inexpressible: [] };
  if (held.length < claimed.size) return restrictToPart(selector, held, scope);
  const seesAll = atoms.every((atom) => seen.has(atomName(atom)));
  const onlyLabelled: Requirement = { key: labels.hash, operator: "Exists", values: [] };
  const isOpen = !seesAll && matchesUnlabelled(selector, labels);
  return { selector: isOpen ? [...selector, onlyLabelled] : selector, inexpressible: [] };
}

function restrictToPart(selector: Selector, held: readonly Atom[], scope: ViewScope): RestrictedView {
  const { atoms, labels } = scope;
  const others = otherRequirements(selector, labels);
  const heldNames = new Set(held.map(atomName));
  const buckets = new Set<number>();
  for (const atom of held) if (atom.kind === "bucket") buckets.add(atom.bucket);
  const namespaces = held.filter((atom) => atom.kind === "namespace");
  // Buckets whenever there is one, never "the larger part": which part is seen must not change for a running
  // operator because some atom was gained, split or merged.
  if (buckets.size === 0) {
    const values = namespaces.map(({ namespace }) => namespace);
    return { selector: [...others, { key: labels.namespace, operator: "In", values }], inexpressible: [] };
  }
  const excluded = atoms.flatMap((atom) =>
    atom.kind === "namespace" && buckets.has(atom.bucket) && !heldNames.has(atomName(atom))
      ? [atom.namespace]
      : [],
  );
  const inexpressible = namespaces.filter(({ bucket }) => !buckets.has(bucket)).map(atomName);
  return {
    selector: [
      ...others,
      { key: labels.hash, operator: "In", values: [...buckets].map(String) },
      ...(excluded.length === 0
        ? []
        : [{ key: labels.namespace, operator: "NotIn", values: excluded } satisfies Requirement]),
    ],
    inexpressible,
  };
}

function matchesUnlabelled(selector: Selector, { hash, namespace, control }: ShardLabels): boolean {
  return selector
    .filter(({ key }) => key === hash || key === namespace || key === control)
    .every((requirement) => valueMatches(requirement, undefined));
}
