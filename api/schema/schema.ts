import { CtrlmeshError } from "../errors.ts";

/**
 * One source of truth for a field of a resource: its place in the OpenAPI v3 schema of the CRD, its reader
 * from `unknown`, and, through `TypeOf`, its TypeScript type.
 *
 * A reader accepts what the API server accepts after pruning: unknown fields are dropped (an older part must
 * be able to read objects of a newer CRD), `null` in place of a field counts as absent, defaults are filled in.
 */
export interface Schema<out T> {
  readonly structural: StructuralSchema;
  /** @throws INVALID_RESOURCE, `where` being the path of the first field that does not fit */
  readonly read: (value: unknown, where: string) => T;
}

export type TypeOf<S> = S extends Schema<infer T> ? T : never;

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** The part of OpenAPI v3 that a structural CRD schema may use (KEP-1693), as far as we use it. */
export interface StructuralSchema {
  readonly type?: "object" | "array" | "string" | "integer" | "boolean";
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly default?: JsonValue;
  readonly nullable?: true;
  readonly items?: StructuralSchema;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly required?: readonly string[];
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: "atomic";
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
}

/** One entry of `x-kubernetes-validations`. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

/** The error of a field that does not fit. `where` is empty for the whole object. */
export function invalidField(where: string, what: string, hint?: string): CtrlmeshError {
  return new CtrlmeshError("INVALID_RESOURCE", {
    what,
    where: where === "" ? "object" : where,
    ...(hint === undefined || hint === "" ? {} : { hint }),
  });
}

/** The error of a value of another type: names what was found, shortened. */
export function wrongType(where: string, expected: string, value: unknown, hint: string): CtrlmeshError {
  return invalidField(where, `expected ${expected}, found ${shown(value)}`, hint);
}

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Path of a member: `spec` and `limits` give `spec.limits`. */
export function memberPath(where: string, name: string): string {
  return where === "" ? name : `${where}.${name}`;
}
