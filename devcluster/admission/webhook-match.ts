import { type LabelSelector, requirementsOf, selectorMatches } from "#api/label-selector";
import { arrayOf, at, isObject, stringMapOf, stringOf, stringsOf } from "../json.ts";
import type { Storage } from "../storage.ts";
import type { AdmissionAttributes } from "./attributes.ts";

/** Whether a webhook's rules, namespaceSelector and objectSelector ask for a write. */
export function webhookMatches(webhook: unknown, attributes: AdmissionAttributes, storage: Storage): boolean {
  return (
    arrayOf(at(webhook, "rules")).some((rule) => ruleMatches(rule, attributes)) &&
    namespaceMatches(at(webhook, "namespaceSelector"), attributes, storage) &&
    objectMatches(at(webhook, "objectSelector"), attributes)
  );
}

function ruleMatches(rule: unknown, { operation, definition, subresource }: AdmissionAttributes): boolean {
  const scope = stringOf(at(rule, "scope")) || "*";
  if (scope !== "*" && (scope === "Namespaced") !== definition.namespaced) return false;
  return (
    has(at(rule, "operations"), operation) &&
    has(at(rule, "apiGroups"), definition.group) &&
    has(at(rule, "apiVersions"), definition.version) &&
    stringsOf(at(rule, "resources")).some((each) => resourceMatches(each, definition.resource, subresource))
  );
}

function has(list: unknown, value: string): boolean {
  const values = stringsOf(list);
  return values.includes("*") || values.includes(value);
}

function resourceMatches(pattern: string, resource: string, subresource: string): boolean {
  const [wanted = "", wantedSub = ""] = pattern.split("/");
  return (
    (wanted === "*" || wanted === resource) &&
    (wantedSub === "*" ? pattern.includes("/") : wantedSub === subresource)
  );
}

/** Cluster-scoped objects other than namespaces match every selector; a namespace matches by its own labels. */
function namespaceMatches(selector: unknown, attributes: AdmissionAttributes, storage: Storage): boolean {
  const requirements = requirementsOf(selectorOf(selector));
  if (requirements.length === 0) return true;
  const { definition, namespace, object, previous } = attributes;
  if (definition.collection === "namespaces")
    return selectorMatches(requirements, stringMapOf((object ?? previous)?.metadata.labels));
  if (!definition.namespaced) return true;
  const stored = storage.get("namespaces", namespace);
  return selectorMatches(requirements, stringMapOf(stored?.object.metadata.labels));
}

/** The new or the old state is enough. */
function objectMatches(selector: unknown, { object, previous }: AdmissionAttributes): boolean {
  const requirements = requirementsOf(selectorOf(selector));
  if (requirements.length === 0) return true;
  return [object, previous].some(
    (each) => each !== undefined && selectorMatches(requirements, stringMapOf(each.metadata.labels)),
  );
}

function selectorOf(value: unknown): LabelSelector {
  if (!isObject(value)) return {};
  return {
    matchLabels: stringMapOf(value.matchLabels),
    matchExpressions: arrayOf(value.matchExpressions).map((expression) => ({
      key: stringOf(at(expression, "key")),
      operator: stringOf(at(expression, "operator")),
      values: stringsOf(at(expression, "values")),
    })),
  };
}
