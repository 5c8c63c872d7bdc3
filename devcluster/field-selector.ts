import type { KubeObject } from "./kube-object.ts";
import type { ResourceDefinition } from "./resource.ts";
import { badRequest } from "./status-error.ts";

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
 * @throws StatusError 400 when a field cannot be selected by
 */
export function parseFieldSelector(text: string, definition: ResourceDefinition): FieldSelector {
  const known = Object.keys(fieldsOf(definition, emptyObject));
  const terms: Term[] = [];
  for (const part of splitUnescaped(text)) {
    if (part === "") continue;
    const match = /^((?:[^\\=!]|\\.)*)(!=|==|=)(.*)$/s.exec(part);
    const [, field = "", operator = "", raw = ""] = match ?? [];
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
    if (!known.includes(field)) {
      throw badRequest(
        `${JSON.stringify(field)} is not a known field selector: only ${known.map((one) => JSON.stringify(one)).join(", ")}`,
      );
    }
    terms.push({ field, value: raw.replaceAll(/\\(.)/g, "$1"), equal: operator !== "!=" });
  }
  return terms;
}

function splitUnescaped(text: string): string[] {
  return text.match(/(?:\\.|[^,\\])+/gs) ?? [];
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
