import { arrayOf, isObject, type JsonObject, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { emptySet, type FieldSet, isEmptySet, parseFieldSet, printFieldSet, union } from "./field-set.ts";

/** One entry of metadata.managedFields. */
export interface Entry {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly fields: FieldSet;
}

/** Beyond this the API server folds the oldest updaters into one. */
const updaterLimit = 10;

/** Reads metadata.managedFields; what is no entry is left out. */
export function parseEntries(value: unknown): Entry[] {
  return arrayOf(value).flatMap((entry): Entry[] => {
    if (!isObject(entry)) return [];
    const operation = entry.operation === "Apply" ? "Apply" : "Update";
    return [
      {
        manager: stringOf(entry.manager),
        operation,
        apiVersion: stringOf(entry.apiVersion),
        subresource: stringOf(entry.subresource),
        time: stringOf(entry.time),
        fields: parseFieldSet(entry.fieldsV1),
      },
    ];
  });
}

/** Writes metadata.managedFields, in place: empty entries go, the oldest updaters are folded into one. */
export function storeEntries(object: KubeObject, entries: readonly Entry[]): void {
  const kept = foldOldest(entries.filter(({ fields }) => !isEmptySet(fields)));
  // Appliers first, then updaters, each by time: as the API server sorts them.
  const sorted = kept.toSorted(
    (left, right) =>
      compareTexts(left.operation, right.operation) ||
      compareTexts(left.time, right.time) ||
      compareTexts(left.manager, right.manager),
  );
  if (sorted.length === 0) delete object.metadata.managedFields;
  else object.metadata.managedFields = sorted.map(printEntry);
}

function foldOldest(entries: readonly Entry[]): Entry[] {
  const updaters = entries.filter(({ operation }) => operation === "Update");
  if (updaters.length <= updaterLimit) return [...entries];
  const oldest = updaters
    .toSorted((left, right) => compareTexts(left.time, right.time))
    .slice(0, updaters.length - updaterLimit + 1);
  const fields = oldest.reduce((all, entry) => union(all, entry.fields), emptySet());
  const folded: Entry = {
    manager: "ancient-changes",
    operation: "Update",
    apiVersion: oldest[0]?.apiVersion ?? "",
    subresource: "",
    time: oldest.at(-1)?.time ?? "",
    fields,
  };
  return [...entries.filter((entry) => !oldest.includes(entry)), folded];
}

function printEntry({ manager, operation, apiVersion, time, fields, subresource }: Entry): JsonObject {
  return {
    manager,
    operation,
    apiVersion,
    ...(time === "" ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1: printFieldSet(fields),
    ...(subresource === "" ? {} : { subresource }),
  };
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
