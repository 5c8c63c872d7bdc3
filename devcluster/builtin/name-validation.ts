import { invalidValue } from "../field-errors.ts";
import { at, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Cause } from "../status-error.ts";

/** Names that one part of an object has to repeat of another. */

export function definitionNameCauses({ metadata, spec }: KubeObject): Cause[] {
  const wanted = `${stringOf(at(spec, "names", "plural"))}.${stringOf(at(spec, "group"))}`;
  if (metadata.name === wanted) return [];
  return [invalidValue("metadata.name", metadata.name, 'must be spec.names.plural+"."+spec.group')];
}

/** Events about what has no namespace are kept in "default". */
export function eventNamespaceCauses({ metadata, involvedObject }: KubeObject): Cause[] {
  const given = stringOf(at(involvedObject, "namespace"));
  if (given === metadata.namespace || (given === "" && metadata.namespace === "default")) return [];
  return [invalidValue("involvedObject.namespace", given, "does not match event.namespace")];
}
