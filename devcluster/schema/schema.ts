/**
 * What decides about a value of one kind: the part of OpenAPI v3 that built-in kinds and CustomResourceDefinitions
 * use, compiled once. References are resolved, so the graph may be cyclic.
 */
export interface Schema {
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  format?: string;
  properties?: Map<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  required?: readonly string[];
  enum?: readonly unknown[];
  default?: unknown;
  nullable?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: RegExp;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  /** allOf, anyOf, oneOf, not: value validations only (structural schemas allow nothing else there). */
  allOf?: readonly Schema[];
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  not?: Schema;
  intOrString?: boolean;
  preserveUnknown?: boolean;
  embeddedResource?: boolean;
  /** Absent: atomic. */
  listType?: "atomic" | "set" | "map";
  listMapKeys?: readonly string[];
  /** Absent: granular. */
  mapType?: "atomic" | "granular";
  /** Strategic merge of a list; absent: replaced. */
  mergesLists?: boolean;
  mergeKey?: string;
  /** The source, for OpenAPI answers. */
  readonly source: unknown;
}

/** Whether fields outside `properties` are kept. */
export function keepsUnknown(schema: Schema): boolean {
  return schema.preserveUnknown === true || (schema.properties === undefined && schema.type !== "array");
}

/** The schema of one field of an object; undefined when the schema does not know the field. */
export function fieldSchema(schema: Schema | undefined, field: string): Schema | undefined {
  return schema?.properties?.get(field) ?? schema?.additionalProperties;
}
