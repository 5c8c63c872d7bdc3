import type { KubeObject } from "./kube-object.ts";
import type { ResourceDefinition } from "./resource.ts";
import { badRequest, type StatusError } from "./status-error.ts";

interface Term {
  readonly field: string;
  readonly value: string;
  readonly equal: boolean;
}

/** A parsed fieldSelector: every term must hold. */
export type FieldSelector = readonly Term[];

const emptyObject: KubeObject = { apiVersion: "", kind: "", metadata: {} };

/**
 * Parses `field=value,field!=value` (backslash escapes `,`, `=` and itself) for one resource.
 *
 * @throws StatusError 400 when a field cannot be selected by, worded as apimachinery's `fields` package does
 */
export function parseFieldSelector(text: string, definition: ResourceDefinition): FieldSelector {
  const known = Object.keys(fieldsOf(definition, emptyObject));
  const terms: Term[] = [];
  for (const part of splitUnescaped(text)) {
    if (part === "") continue;
    const match = /^((?:[^\\=!]|\\.)*)(!=|==|=)(.*)$/s.exec(part);
    const [, field = "", operator = "", raw = ""] = match ?? [];
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
    const value = unescaped(raw);
    if (field === "" && value === "") continue;
    if (!known.includes(field)) throw unknownField(definition, field, known);
    terms.push({ field, value, equal: operator !== "!=" });
  }
  return terms;
}

/** The selector and that one name. */
export function withName(selector: FieldSelector, name: string): FieldSelector {
  return name === "" ? selector : [...selector, { field: "metadata.name", value: name, equal: true }];
}

function splitUnescaped(text: string): string[] {
  return text.match(/(?:\\.|[^,\\])+/gs) ?? [];
}

function unescaped(raw: string): string {
  return raw.replaceAll(/\\(.?)|[,=]/gs, (found: string, escaped: string | undefined) => {
    if (escaped === undefined)
      throw badRequest(`invalid field selector: unescaped character in value: ${found.codePointAt(0)}`);
    if (!",=\\".includes(escaped) || escaped === "")
      throw badRequest(`invalid field selector: invalid escape sequence: ${found}`);
    return escaped;
  });
}

/** Kinds with fields of their own have a conversion that says less than the common one. */
function unknownField(
  { strategy, isCustom }: ResourceDefinition,
  field: string,
  known: readonly string[],
): StatusError {
  if (isCustom || strategy.selectableFields !== undefined)
    return badRequest(`field label not supported: ${field}`);
  const list = known.map((one) => JSON.stringify(one)).join(", ");
  return badRequest(`${JSON.stringify(field)} is not a known field selector: only ${list}`);
}

export function fieldsMatch(
  selector: FieldSelector,
  definition: ResourceDefinition,
  object: KubeObject,
): boolean {
  if (selector.length === 0) return true;
  const fields = fieldsOf(definition, object);
  return selector.every(({ field, value, equal }) => ((fields[field] ?? "") === value) === equal);
}

function fieldsOf(definition: ResourceDefinition, object: KubeObject): Readonly<Record<string, string>> {
  const own = definition.strategy.selectableFields?.(object);
  const namespace = definition.namespaced ? { "metadata.namespace": object.metadata.namespace ?? "" } : {};
  return { "metadata.name": object.metadata.name ?? "", ...namespace, ...own };
}
