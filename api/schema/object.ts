import {
  invalidField,
  type JsonValue,
  memberPath,
  type Schema,
  type StructuralSchema,
  wrongType,
} from "./schema.ts";

export interface OptionalProperty<out T> {
  readonly presence: "optional";
  readonly schema: Schema<T>;
}

export interface DefaultedProperty<out T> {
  readonly presence: "defaulted";
  readonly schema: Schema<T>;
  readonly fallback: JsonValue;
}

export interface AssumedProperty<out T> {
  readonly presence: "assumed";
  readonly schema: Schema<T>;
  readonly fallback: JsonValue;
}

/** A bare schema is a required property. */
export type Property =
  | Schema<unknown>
  | OptionalProperty<unknown>
  | DefaultedProperty<unknown>
  | AssumedProperty<unknown>;
export type Properties = Readonly<Record<string, Property>>;

type ValueOf<P> =
  P extends OptionalProperty<infer T>
    ? T
    : P extends DefaultedProperty<infer T> | AssumedProperty<infer T>
      ? T
      : P extends Schema<infer T>
        ? T
        : never;

type OptionalKeys<P extends Properties> = {
  [K in keyof P]: P[K] extends OptionalProperty<unknown> ? K : never;
}[keyof P];

type Flat<T> = { readonly [K in keyof T]: T[K] };

export type ObjectOf<P extends Properties> = Flat<
  { readonly [K in Exclude<keyof P, OptionalKeys<P>>]: ValueOf<P[K]> } & {
    readonly [K in OptionalKeys<P>]?: ValueOf<P[K]>;
  }
>;

/** A field that may be absent, and then has no value. */
export function optional<T>(schema: Schema<T>): OptionalProperty<T> {
  return { presence: "optional", schema };
}

/**
 * Like `optional`, for a key that people leave without a value in YAML. Elsewhere the API server drops a
 * `null` by itself; in server-side apply it refuses it unless the schema says nullable.
 */
export function optionalOrNull<T>(schema: Schema<T>): OptionalProperty<T> {
  return {
    presence: "optional",
    schema: { ...schema, structural: { ...schema.structural, nullable: true } },
  };
}

/** A field that may be left out: the API server and the reader both fill in `fallback`. */
export function defaulted<T>(schema: Schema<T>, fallback: JsonValue): DefaultedProperty<T> {
  return { presence: "defaulted", schema, fallback };
}

/**
 * Like `defaulted`, but only our reader fills in `fallback`. For fields of list elements: a default that the
 * API server writes into a list makes every later `kubectl apply` of the same file a change of that list.
 */
export function assumed<T>(schema: Schema<T>, fallback: JsonValue): AssumedProperty<T> {
  return { presence: "assumed", schema, fallback };
}

/** A law over several fields of one object, checked by the API server (CEL) and by our own reader. */
export interface Rule<T> {
  readonly cel: string;
  /** Says what must be true, for people; the same text from both checkers. */
  readonly message: string;
  /** Field that the error is about, such as `.limits`; the object itself by default. */
  readonly fieldPath?: string;
  /** The same law in TypeScript. Absent for rules over `oldSelf`, which only a server can check. */
  readonly holds?: (value: T) => boolean;
}

export interface ObjectOptions<T> {
  readonly rules?: readonly Rule<T>[];
  /** Server-side apply replaces it as a whole. */
  readonly atomic?: true;
  /** Fields that are not listed are kept by the API server and by the reader: another program owns them. */
  readonly open?: true;
}

/** An object with named fields. Rules run after all fields were read. */
export function object<const P extends Properties>(
  description: string,
  properties: P,
  { rules = [], atomic, open }: ObjectOptions<ObjectOf<P>> = {},
): Schema<ObjectOf<P>> {
  const entries = Object.entries(properties);
  return {
    structural: {
      type: "object",
      ...(description === "" ? {} : { description }),
      ...(atomic ? { "x-kubernetes-map-type": "atomic" as const } : {}),
      ...(open ? { "x-kubernetes-preserve-unknown-fields": true as const } : {}),
      ...requiredOf(entries),
      ...(rules.length === 0 ? {} : { "x-kubernetes-validations": rules.map(validationOf) }),
      properties: Object.fromEntries(entries.map(([name, property]) => [name, structuralOf(property)])),
    },
    read(value, where) {
      if (!isRecord(value)) throw wrongType(where, "an object", value, description);
      const result: Record<string, unknown> = open ? { ...value } : {};
      for (const [name, property] of entries) {
        const member = readProperty(property, value[name], memberPath(where, name));
        if (member !== undefined) result[name] = member;
        else delete result[name];
      }
      const complete = result as ObjectOf<P>;
      const broken = rules.find((rule) => rule.holds !== undefined && !rule.holds(complete));
      if (broken !== undefined)
        throw invalidField(`${where}${broken.fieldPath ?? ""}`.replace(/^\./, ""), broken.message);
      return complete;
    },
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readProperty(property: Property, value: unknown, where: string): unknown {
  const absent = value === undefined || value === null;
  if (!("presence" in property)) {
    if (absent) throw invalidField(where, "is required", property.structural.description);
    return property.read(value, where);
  }
  if (!absent) return property.schema.read(value, where);
  return property.presence === "optional" ? undefined : property.schema.read(property.fallback, where);
}

function requiredOf(entries: readonly (readonly [string, Property])[]): { required?: readonly string[] } {
  const required = entries.filter(([, property]) => !("presence" in property)).map(([name]) => name);
  return required.length === 0 ? {} : { required };
}

function structuralOf(property: Property): StructuralSchema {
  if (!("presence" in property)) return property.structural;
  if (property.presence !== "defaulted") return property.schema.structural;
  return { ...property.schema.structural, default: property.fallback };
}

function validationOf({ cel, message, fieldPath }: Rule<never>): {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
} {
  return { rule: cel, message, ...(fieldPath === undefined ? {} : { fieldPath }) };
}
