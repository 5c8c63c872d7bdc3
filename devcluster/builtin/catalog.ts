import { readFileSync } from "node:fs";
import { isObject } from "../json.ts";
import { mainVerbs, type ResourceDefinition, type Strategy } from "../resource.ts";
import { compileDefinitions } from "../schema/compile.ts";
import type { Schema } from "../schema/schema.ts";
import { columnsOf } from "./columns.ts";
import { eventsConversion } from "./event-conversion.ts";
import { type BuiltInKind, builtInKinds } from "./kinds.ts";
import { selectableFieldsOf } from "./selectable-fields.ts";

const plainStrategy: Strategy = {
  nameRule: "subdomain",
  hasStatus: false,
  countsGeneration: false,
  allowsBlindUpdate: true,
  returnsDeleted: false,
};

let schemas: ReadonlyMap<string, Schema> | undefined;

/** The schemas of `schemas.json`, read once: they never change. */
export function builtInSchemas(): ReadonlyMap<string, Schema> {
  if (schemas === undefined) {
    const text = readFileSync(new URL("schemas.json", import.meta.url), "utf8");
    const parsed: unknown = JSON.parse(text);
    schemas = compileDefinitions(isObject(parsed) ? parsed : {});
  }
  return schemas;
}

/** Every built-in resource. */
export function builtInDefinitions(): ResourceDefinition[] {
  return builtInKinds().map(definitionOf);
}

function definitionOf(row: BuiltInKind): ResourceDefinition {
  const [version = "", group = ""] = row.apiVersion.split("/").reverse();
  const collection = row.collection ?? (group === "" ? row.resource : `${group}/${row.resource}`);
  const selectableFields = selectableFieldsOf(collection, group);
  return {
    group,
    version,
    resource: row.resource,
    singular: row.kind.toLowerCase(),
    kind: row.kind,
    listKind: `${row.kind}List`,
    shortNames: row.shortNames ?? [],
    categories: row.categories ?? [],
    namespaced: row.clusterScoped !== true,
    collection,
    verbs: row.verbs ?? mainVerbs,
    subresources: row.subresources ?? [],
    schema: builtInSchemas().get(row.schemaName) ?? { source: {} },
    isCustom: false,
    columns: columnsOf(collection),
    strategy: {
      ...plainStrategy,
      ...(selectableFields === undefined ? {} : { selectableFields }),
      ...row.strategy,
    },
    ...(row.events === true ? { conversion: eventsConversion } : {}),
    schemaName: row.schemaName,
  };
}
