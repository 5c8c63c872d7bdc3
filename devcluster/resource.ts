import type { JsonObject } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import type { Schema } from "./schema/schema.ts";
import type { Cause, Subject } from "./status-error.ts";

/** One version of one served resource. */
export interface ResourceDefinition extends Subject {
  readonly group: string;
  readonly version: string;
  /** Plural, lower case. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Where the objects are: versions and groups that show the same objects share it. */
  readonly collection: string;
  readonly verbs: readonly string[];
  readonly subresources: readonly Subresource[];
  readonly schema: Schema;
  /** Custom resources are pruned and validated by their schema, and answered with kind in lists. */
  readonly isCustom: boolean;
  readonly columns: readonly Column[];
  readonly strategy: Strategy;
  /** Form in which this version shows a stored object. Absent: only apiVersion and kind are set. */
  readonly conversion?: Conversion;
  /** Name of the schema in OpenAPI. */
  readonly schemaName: string;
}

export interface Conversion {
  fromStored(object: KubeObject): KubeObject;
  toStored(object: KubeObject): KubeObject;
}

export interface Subresource {
  readonly name: string;
  readonly verbs: readonly string[];
  /** Kind of its body when it is not the parent's. */
  readonly kind?: { readonly group: string; readonly version: string; readonly kind: string };
}

/** A column of `kubectl get`. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  /** 0: always shown; more: with `-o wide`. */
  readonly priority: number;
  readonly description: string;
  cell(object: KubeObject, nowMs: number): unknown;
}

/** What differs between kinds when they are written. Objects given may be changed in place. */
export interface Strategy {
  /** "subdomain" unless the kind has another rule for its name. */
  readonly nameRule: NameRule;
  /** Has a status subresource: writes of the main resource keep the status and the other way round. */
  readonly hasStatus: boolean;
  /** metadata.generation counts changes of everything but metadata and status. */
  readonly countsGeneration: boolean;
  /** PUT without a resourceVersion overwrites; otherwise it is refused. */
  readonly allowsBlindUpdate: boolean;
  /** DELETE answers with the object instead of a Status. */
  readonly returnsDeleted: boolean;
  /** Defaults of a built-in kind. */
  setDefaults?(object: KubeObject): void;
  /** After admission, before validation of a new object. */
  prepareCreate?(object: KubeObject): void;
  prepareUpdate?(object: KubeObject, previous: KubeObject): void;
  validate?(object: KubeObject): Cause[];
  validateUpdate?(object: KubeObject, previous: KubeObject): Cause[];
  /** Fields that a fieldSelector may name beside metadata.name and metadata.namespace. */
  selectableFields?(object: KubeObject): Readonly<Record<string, string>>;
  /** How long a deletion waits for whoever runs the object; 0: not at all. */
  gracePeriodSeconds?(object: KubeObject, asked: number | undefined): number;
}

export type NameRule = "subdomain" | "label" | "path" | "service";

export const mainVerbs = [
  ...["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
] as const;

export function apiVersionOf({ group, version }: { group: string; version: string }): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Key in the collection. */
export function keyOf(definition: ResourceDefinition, namespace: string, name: string): string {
  return definition.namespaced ? `${namespace}/${name}` : name;
}

/** A stored object as one version of its resource shows it. */
export function shown(definition: ResourceDefinition, object: KubeObject): KubeObject {
  if (definition.conversion !== undefined) return definition.conversion.fromStored(object);
  const apiVersion = apiVersionOf(definition);
  return object.apiVersion === apiVersion && object.kind === definition.kind
    ? object
    : { ...object, apiVersion, kind: definition.kind };
}

/** The form in which an object of this version is stored. */
export function storedForm(definition: ResourceDefinition, object: KubeObject): KubeObject {
  return definition.conversion?.toStored(object) ?? object;
}

/** Groups, versions and kinds as admission reviews and discovery print them. */
export function kindOf({ group, version, kind }: ResourceDefinition): JsonObject {
  return { group, version, kind };
}
