import { list, textMap } from "./collections.ts";
import { type ObjectOf, object, optional, type Properties, type Rule } from "./object.ts";
import { dateTime, flag, integer, largestCount, text } from "./scalars.ts";
import { invalidField, type StructuralSchema, shown, type TypeOf } from "./schema.ts";

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "boolean" | "date";
  readonly jsonPath: string;
  readonly description: string;
  /** Shown by `-o wide` only. */
  readonly wide?: true;
}

/** What a CRD needs beside its schema. */
export interface KindNames {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly scope: "Namespaced" | "Cluster";
  readonly statusSubresource: boolean;
  readonly columns: readonly PrinterColumn[];
}

export interface KindDefinition extends KindNames {
  /** Schema of the whole object, as it stands in the CRD. */
  readonly structural: StructuralSchema;
}

const longText = text("", { maxLength: 262144 });
const anyText = text("", { maxLength: 1024 });

const ownerReference = object("", {
  apiVersion: anyText,
  kind: anyText,
  name: anyText,
  uid: anyText,
  controller: optional(flag("")),
  blockOwnerDeletion: optional(flag("")),
});

/** metadata as the API server hands it out; the CRD says nothing about it but `type: object`. */
const metadata = object("Standard metadata; name is required.", {
  name: text("Name of the object.", { minLength: 1, maxLength: 253 }),
  generateName: optional(anyText),
  namespace: optional(anyText),
  uid: optional(anyText),
  resourceVersion: optional(anyText),
  generation: optional(integer("", { minimum: 0, maximum: largestCount })),
  creationTimestamp: optional(dateTime("")),
  deletionTimestamp: optional(dateTime("")),
  deletionGracePeriodSeconds: optional(integer("", { minimum: 0, maximum: largestCount })),
  labels: optional(textMap("", { maxProperties: 100_000, value: anyText })),
  annotations: optional(textMap("", { maxProperties: 100_000, value: longText })),
  finalizers: optional(list("", anyText, { maxItems: 10_000 })),
  ownerReferences: optional(list("", ownerReference, { maxItems: 10_000 })),
});

/** metadata of an object that we read: its name is known. */
export type NamedMeta = TypeOf<typeof metadata>;

/** A whole object of a kind; P are the fields beside apiVersion, kind and metadata. */
export type KindObject<P extends Properties> = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: NamedMeta;
} & ObjectOf<P>;

export interface Kind<T> {
  readonly definition: KindDefinition;
  /**
   * Reads an object of this kind from outside, with defaults filled in. apiVersion and kind may be absent, as
   * in items of lists.
   *
   * @throws INVALID_RESOURCE with the field path
   */
  readonly parse: (value: unknown) => T;
}

/** Makes the CRD input and the parser of a kind from one schema. */
export function kindOf<const P extends Properties>(
  names: KindNames,
  description: string,
  fields: P,
  rules: readonly Rule<KindObject<P>>[] = [],
): Kind<KindObject<P>> {
  const body = object<P>(description, fields);
  const apiVersion = `${names.group}/${names.version}`;
  const structural: StructuralSchema = {
    ...body.structural,
    ...(rules.length === 0
      ? {}
      : {
          "x-kubernetes-validations": rules.map(({ cel, message, fieldPath }) => ({
            rule: cel,
            message,
            ...(fieldPath === undefined ? {} : { fieldPath }),
          })),
        }),
    properties: {
      apiVersion: { type: "string", description: "Version of this schema." },
      kind: { type: "string", description: "Kind of this object." },
      metadata: { type: "object" },
      ...body.structural.properties,
    },
  };
  return {
    definition: { ...names, structural },
    parse(value) {
      const read = body.read(value, "");
      expectWord(value, "apiVersion", apiVersion);
      expectWord(value, "kind", names.kind);
      const whole = {
        apiVersion,
        kind: names.kind,
        metadata: metadata.read(Reflect.get(Object(value), "metadata") ?? {}, "metadata"),
        ...read,
      };
      const broken = rules.find((rule) => rule.holds !== undefined && !rule.holds(whole));
      if (broken !== undefined)
        throw invalidField((broken.fieldPath ?? "").replace(/^\./, ""), broken.message);
      return whole;
    },
  };
}

function expectWord(value: unknown, field: "apiVersion" | "kind", expected: string): void {
  const found: unknown = Reflect.get(Object(value), field);
  if (found !== undefined && found !== expected)
    throw invalidField(
      field,
      `${shown(found)} is another ${field === "kind" ? "kind" : "version"}`,
      `expected ${expected}`,
    );
}
