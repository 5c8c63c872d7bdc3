import { builtInSchemas } from "./builtin/catalog.ts";
import { ageColumn, nameColumn } from "./builtin/columns.ts";
import { arrayOf, at, isObject, objectOf, stringOf, stringsOf } from "./json.ts";
import { readJsonPath } from "./json-path.ts";
import type { KubeObject } from "./kube-object.ts";
import {
  type Column,
  mainVerbs,
  type ResourceDefinition,
  type Strategy,
  type Subresource,
} from "./resource.ts";
import { compileSchema } from "./schema/compile.ts";
import type { Schema } from "./schema/schema.ts";
import { age } from "./table.ts";

/** The served versions of a CustomResourceDefinition, the preferred one first. */
export function definitionsOf(crd: KubeObject): ResourceDefinition[] {
  const versions = arrayOf(at(crd.spec, "versions"))
    .filter((version) => at(version, "served") === true)
    .map((version) => definitionOf(crd, version));
  return versions.sort((left, right) => comparePriority(left.version, right.version));
}

function definitionOf(crd: KubeObject, version: unknown): ResourceDefinition {
  const spec = objectOf(crd.spec);
  const names = objectOf(spec.names);
  const group = stringOf(spec.group);
  const kind = stringOf(names.kind);
  const resource = stringOf(names.plural);
  const hasStatus = isObject(at(version, "subresources", "status"));
  const subresources: Subresource[] = hasStatus
    ? [{ name: "status", verbs: ["get", "patch", "update"] }]
    : [];
  const name = stringOf(at(version, "name"));
  return {
    group,
    version: name,
    resource,
    singular: stringOf(names.singular) || kind.toLowerCase(),
    kind,
    listKind: stringOf(names.listKind) || `${kind}List`,
    shortNames: stringsOf(names.shortNames),
    categories: stringsOf(names.categories),
    namespaced: spec.scope === "Namespaced",
    collection: `${group}/${resource}`,
    verbs: mainVerbs,
    subresources,
    schema: rootSchema(at(version, "schema", "openAPIV3Schema")),
    isCustom: true,
    columns: columnsOf(version),
    strategy: strategyOf(version, hasStatus),
    schemaName: `${group.split(".").reverse().join(".")}.${name}.${kind}`,
  };
}

function rootSchema(source: unknown): Schema {
  const schema = compileSchema(source);
  const properties = new Map(schema.properties);
  const metadata = builtInSchemas().get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  properties.set("apiVersion", { type: "string", source: { type: "string" } });
  properties.set("kind", { type: "string", source: { type: "string" } });
  if (metadata !== undefined)
    properties.set("metadata", restricted(metadata, schema.properties?.get("metadata")));
  return { ...schema, type: "object", properties };
}

/** A definition may restrict metadata.name and generateName; it cannot change the rest. */
function restricted(metadata: Schema, own: Schema | undefined): Schema {
  if (own?.properties === undefined) return metadata;
  const properties = new Map(metadata.properties);
  for (const field of ["name", "generateName"]) {
    const restriction = own.properties.get(field);
    if (restriction !== undefined) properties.set(field, { ...restriction, type: "string" });
  }
  const schema: Schema = Object.create(metadata);
  schema.properties = properties;
  return schema;
}

function strategyOf(version: unknown, hasStatus: boolean): Strategy {
  const selectable = arrayOf(at(version, "selectableFields")).map((field) => stringOf(at(field, "jsonPath")));
  return {
    nameRule: "subdomain",
    hasStatus,
    countsGeneration: true,
    allowsBlindUpdate: false,
    returnsDeleted: false,
    ...(selectable.length === 0
      ? {}
      : {
          selectableFields: (object: KubeObject) =>
            Object.fromEntries(
              selectable.map((path) => [path.slice(1), String(readJsonPath(object, path)[0] ?? "")]),
            ),
        }),
  };
}

function columnsOf(version: unknown): Column[] {
  const declared = arrayOf(at(version, "additionalPrinterColumns"));
  if (declared.length === 0) return [nameColumn, ageColumn];
  return [nameColumn, ...declared.map(printerColumn)];
}

function printerColumn(declared: unknown): Column {
  const type = stringOf(at(declared, "type"));
  const path = stringOf(at(declared, "jsonPath"));
  const priority = at(declared, "priority");
  return {
    name: stringOf(at(declared, "name")),
    type,
    format: stringOf(at(declared, "format")),
    priority: typeof priority === "number" ? priority : 0,
    description: stringOf(at(declared, "description")),
    cell: (object, nowMs) => cellOf(type, readJsonPath(object, path), nowMs),
  };
}

/** null shows as nothing; a date shows as an age. */
function cellOf(type: string, values: readonly unknown[], nowMs: number): unknown {
  const [value] = values;
  if (value === undefined || value === null) return null;
  if (type === "date") return age(stringOf(value), nowMs);
  if (type === "integer" || type === "number") return typeof value === "number" ? value : null;
  if (type === "boolean") return typeof value === "boolean" ? value : null;
  const print = (each: unknown): string => (typeof each === "string" ? each : JSON.stringify(each));
  return values.length === 1 ? print(value) : values.map(print).join(",");
}

/** v2 before v1 before v1beta2 before v1alpha1 before anything else (`version.CompareKubeAwareVersionStrings`). */
function comparePriority(left: string, right: string): number {
  const rank = (version: string): readonly number[] => {
    const [, major = "", stage = "", minor = "0"] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    if (major === "") return [0, 0, 0];
    const level = stage === "" ? 3 : stage === "beta" ? 2 : 1;
    return [level, Number(major), Number(minor)];
  };
  const [a, b] = [rank(left), rank(right)];
  for (const index of [0, 1, 2]) {
    const gap = (b[index] ?? 0) - (a[index] ?? 0);
    if (gap !== 0) return gap;
  }
  return left < right ? -1 : 1;
}
