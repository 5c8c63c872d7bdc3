import { isObject } from "../json.ts";
import { type KubeObject, timestamp } from "../kube-object.ts";
import { apiVersionOf, type ResourceDefinition } from "../resource.ts";
import { type Cause, StatusError } from "../status-error.ts";
import { type Comparison, compare, fieldSetOf, isSame } from "./compare.ts";
import { type Entry, parseEntries, storeEntries } from "./entries.ts";
import {
  difference,
  emptySet,
  type FieldSet,
  intersection,
  isEmptySet,
  parseFieldSet,
  pathsOf,
  union,
  withoutSubtrees,
} from "./field-set.ts";
import { clientSideApplier, lastAppliedFields, syncLastApplied } from "./last-applied.ts";
import { mergeApplied, removeFields } from "./merge.ts";

/** Who writes. */
export interface FieldWriter {
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
}

/** Fields that belong to nobody. */
const systemFields = parseFieldSet({
  "f:apiVersion": {},
  "f:kind": {},
  "f:metadata": {
    ".": {},
    "f:name": {},
    "f:namespace": {},
    "f:creationTimestamp": {},
    "f:selfLink": {},
    "f:uid": {},
    "f:generation": {},
    "f:managedFields": {},
    "f:resourceVersion": {},
    "f:deletionTimestamp": {},
    "f:deletionGracePeriodSeconds": {},
  },
});

/** Structs of built-in kinds that are there even when empty, so that nobody adds them. */
const alwaysPresent = parseFieldSet({
  "f:spec": {
    ".": {},
    "f:containers": { ".": {} },
    "f:names": { ".": {} },
    "f:strategy": { ".": {} },
    "f:template": {
      ".": {},
      "f:metadata": { ".": {} },
      "f:spec": { ".": {}, "f:containers": { ".": {} } },
    },
    "f:updateStrategy": { ".": {} },
  },
  "f:source": { ".": {} },
  "f:status": { ".": {} },
});

/**
 * Sets metadata.managedFields of `next` after a write other than apply: the writer owns what it added or changed,
 * whoever owned it before no longer does. In place.
 *
 * @param live undefined for a new object
 */
export function trackUpdate(
  definition: ResourceDefinition,
  live: KubeObject | undefined,
  next: KubeObject,
  writer: FieldWriter,
): void {
  const entries = startingEntries(live, next);
  if (entries === undefined) {
    delete next.metadata.managedFields;
    return;
  }
  const comparison = changesOf(definition, live, next);
  const apiVersion = apiVersionOf(definition);
  const isWriter = (entry: Entry): boolean =>
    entry.operation === "Update" &&
    entry.manager === writer.manager &&
    entry.subresource === writer.subresource &&
    entry.apiVersion === apiVersion;
  const others = entries.filter((entry) => !isWriter(entry));
  const own = entries.find(isWriter);
  const previous = own?.fields ?? emptySet();
  const fields = union(
    withoutSubtrees(difference(previous, comparison.removed), comparison.removed),
    union(comparison.added, comparison.modified),
  );
  const rest = others.map((entry) => withoutChanges(entry, comparison));
  // Who only gave fields up keeps the time of the last write.
  const isIdle = isEmptySet(comparison.added) && isEmptySet(comparison.modified);
  const time = isIdle ? (own?.time ?? "") : timestamp(writer.nowMs);
  const { manager, subresource } = writer;
  storeEntries(next, [...rest, { manager, operation: "Update", apiVersion, subresource, time, fields }]);
}

function changesOf(
  definition: ResourceDefinition,
  live: KubeObject | undefined,
  next: KubeObject,
): Comparison {
  const before = live ?? {};
  const comparison = compare(definition.schema, before, next);
  const ignored = definition.isCustom ? systemFields : union(systemFields, alwaysPresent);
  return {
    added: difference(comparison.added, ignored),
    modified: difference(comparison.modified, systemFields),
    removed: difference(comparison.removed, systemFields),
  };
}

function withoutChanges(entry: Entry, { added, modified, removed }: Comparison): Entry {
  const fields = withoutSubtrees(
    difference(difference(entry.fields, union(added, modified)), removed),
    removed,
  );
  return { ...entry, fields };
}

export interface Applied {
  readonly object: KubeObject;
  readonly writer: FieldWriter;
  readonly force: boolean;
}

/**
 * Server-side apply: the live object with what the applier says, without what it said last time and no longer
 * says (unless another manager owns it too).
 *
 * @param live undefined: the object does not exist yet
 * @throws StatusError 409 with one cause per field that others own with another value, unless forced
 */
export function applyObject(
  definition: ResourceDefinition,
  live: KubeObject | undefined,
  { object: applied, writer, force }: Applied,
): KubeObject {
  const { schema } = definition;
  const apiVersion = apiVersionOf(definition);
  const base = live ?? { apiVersion: applied.apiVersion, kind: applied.kind, metadata: {} };
  const entries = parseEntries(live?.metadata.managedFields);
  const isApplier = (entry: Entry): boolean =>
    entry.operation === "Apply" &&
    entry.manager === writer.manager &&
    entry.subresource === writer.subresource;
  const others = entries.filter((entry) => !isApplier(entry));
  const own = entries.find(isApplier);
  const fields = difference(fieldSetOf(schema, applied), systemFields);
  let next = asObject(mergeApplied(schema, base, applied), base);
  if (own !== undefined) {
    const kept = others.reduce((all, entry) => union(all, entry.fields), fields);
    const dropped = onlyUnowned(difference(own.fields, fields), kept);
    next = asObject(removeFields(schema, next, dropped), base);
  }
  const comparison = changesOf(definition, base, next);
  const changed = union(comparison.added, comparison.modified);
  const conflicts = others
    .map((entry) => ({ entry, fields: intersection(entry.fields, changed) }))
    .filter((each) => !isEmptySet(each.fields));
  if (conflicts.length > 0 && !force && !isTakeOver(definition, base, writer, conflicts))
    throw applyConflict(conflicts);
  const rest = others.map((entry) => withoutChanges(entry, comparison));
  // An apply that changes nothing but owners has no time of its own.
  const time = isSame(comparison) ? (own?.time ?? "") : timestamp(writer.nowMs);
  const { manager, subresource } = writer;
  const result = { ...next, metadata: { ...next.metadata } };
  if (manager === clientSideApplier) syncLastApplied(result, applied);
  storeEntries(result, [...rest, { manager, operation: "Apply", apiVersion, subresource, time, fields }]);
  return result;
}

/** kubectl going over from client-side to server-side apply: all that is in the way it once applied itself. */
function isTakeOver(
  { schema }: ResourceDefinition,
  live: KubeObject,
  { manager }: FieldWriter,
  conflicts: readonly { readonly fields: FieldSet }[],
): boolean {
  if (manager !== clientSideApplier) return false;
  const allowed = lastAppliedFields(schema, live);
  return conflicts.every(({ fields }) => isEmptySet(difference(fields, allowed)));
}

/** What of a set nobody owns, neither itself nor anything below it. */
function onlyUnowned(set: FieldSet, owned: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of set.children) {
    const other = owned.children.get(key);
    if (other === undefined) children.set(key, child);
    else {
      const rest = onlyUnowned({ ...child, owned: false }, other);
      if (!isEmptySet(rest)) children.set(key, rest);
    }
  }
  return { owned: set.owned, children };
}

function applyConflict(conflicts: readonly { entry: Entry; fields: FieldSet }[]): StatusError {
  const causes: Cause[] = conflicts.flatMap(({ entry, fields }) =>
    pathsOf(fields).map((field) => ({
      reason: "FieldManagerConflict",
      message: `conflict with ${JSON.stringify(entry.manager)}${managerDetail(entry)}`,
      field,
    })),
  );
  const lines = conflicts.map(({ entry, fields }) => {
    const paths = pathsOf(fields);
    const who = `${JSON.stringify(entry.manager)}${managerDetail(entry)}`;
    return paths.length === 1
      ? `conflict with ${who}: ${paths[0]}`
      : `conflicts with ${who}:\n${paths.map((path) => `- ${path}`).join("\n")}`;
  });
  const message = `Apply failed with ${causes.length} conflict${causes.length === 1 ? "" : "s"}: ${lines.join("\n")}`;
  return new StatusError({ code: 409, reason: "Conflict", message, details: { causes } });
}

function managerDetail({ operation, subresource, apiVersion }: Entry): string {
  const through = subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`;
  return operation === "Apply" ? through : `${through} using ${apiVersion}`;
}

/** undefined: managed fields were taken off on purpose (`managedFields: []` by who could have kept them). */
function startingEntries(live: KubeObject | undefined, next: KubeObject): Entry[] | undefined {
  const given = next.metadata.managedFields;
  if (Array.isArray(given) && given.length === 0 && live?.metadata.managedFields !== undefined)
    return undefined;
  if (Array.isArray(given) && given.length === 1 && isObject(given[0]) && Object.keys(given[0]).length === 0)
    return undefined;
  return parseEntries(Array.isArray(given) && given.length > 0 ? given : live?.metadata.managedFields);
}

function asObject(value: unknown, fallback: KubeObject): KubeObject {
  return isObject(value) && isObject(value.metadata)
    ? { ...value, apiVersion: fallback.apiVersion, kind: fallback.kind, metadata: value.metadata }
    : fallback;
}
