import { requirementsOf, selectorMatches } from "#api/label-selector";
import { arrayOf, at, isObject, stringMapOf, stringOf, stringsOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Storage } from "../storage.ts";
import { mastersGroup, type User } from "../user.ts";

/** What somebody wants to do: to a resource, or to another path. */
export type AccessAttributes =
  | {
      readonly isResource: true;
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly isResource: false; readonly verb: string; readonly path: string };

export interface Decision {
  readonly allowed: boolean;
  /** Which binding allows it. */
  readonly reason: string;
}

/** rbac.authorization.k8s.io/v1 PolicyRule. */
export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

/** Decides by the Roles, ClusterRoles and bindings that are stored, at every request anew. */
export class RbacAuthorizer {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  decide(user: User, attributes: AccessAttributes): Decision {
    if (user.groups.includes(mastersGroup)) return { allowed: true, reason: "" };
    const namespace = attributes.isResource ? attributes.namespace : "";
    for (const { binding, rules } of this.#grants(user, namespace)) {
      if (rules.some((rule) => covers(rule, attributes)))
        return { allowed: true, reason: `RBAC: allowed by ${printBinding(binding)}` };
    }
    return { allowed: false, reason: "" };
  }

  /** Every rule that holds for a user in a namespace. */
  rulesFor(user: User, namespace: string): PolicyRule[] {
    if (user.groups.includes(mastersGroup)) return [everything, everyPath];
    return [...this.#grants(user, namespace)].flatMap(({ rules }) => rules);
  }

  *#grants(user: User, namespace: string): Generator<{ binding: KubeObject; rules: PolicyRule[] }> {
    const clusterBindings = this.#storage.list("rbac.authorization.k8s.io/clusterrolebindings", "");
    const bindings =
      namespace === "" ? [] : this.#storage.list("rbac.authorization.k8s.io/rolebindings", `${namespace}/`);
    for (const { object } of [...clusterBindings, ...bindings]) {
      const bindingNamespace = stringOf(object.metadata.namespace);
      const subjects = arrayOf(object.subjects);
      if (subjects.some((subject) => isSubject(subject, user, bindingNamespace)))
        yield { binding: object, rules: this.#rulesOf(object.roleRef, bindingNamespace) };
    }
  }

  #rulesOf(roleRef: unknown, namespace: string): PolicyRule[] {
    const name = stringOf(at(roleRef, "name"));
    const role =
      at(roleRef, "kind") === "Role"
        ? this.#storage.get("rbac.authorization.k8s.io/roles", `${namespace}/${name}`)
        : this.#storage.get("rbac.authorization.k8s.io/clusterroles", name);
    if (role === undefined) return [];
    const aggregated = arrayOf(at(role.object.aggregationRule, "clusterRoleSelectors"));
    return [
      ...parseRules(role.object.rules),
      ...aggregated.flatMap((selector) => this.#selectedRules(selector)),
    ];
  }

  #selectedRules(selector: unknown): PolicyRule[] {
    const requirements = requirementsOf({
      matchLabels: stringMapOf(at(selector, "matchLabels")),
      matchExpressions: arrayOf(at(selector, "matchExpressions")).map((expression) => ({
        key: stringOf(at(expression, "key")),
        operator: stringOf(at(expression, "operator")),
        values: stringsOf(at(expression, "values")),
      })),
    });
    return this.#storage
      .list("rbac.authorization.k8s.io/clusterroles", "")
      .filter(({ object }) => selectorMatches(requirements, stringMapOf(object.metadata.labels)))
      .flatMap(({ object }) => parseRules(object.rules));
  }
}

const everything: PolicyRule = {
  verbs: ["*"],
  apiGroups: ["*"],
  resources: ["*"],
  resourceNames: [],
  nonResourceURLs: [],
};
const everyPath: PolicyRule = {
  verbs: ["*"],
  apiGroups: [],
  resources: [],
  resourceNames: [],
  nonResourceURLs: ["*"],
};

function isSubject(subject: unknown, user: User, namespace: string): boolean {
  if (!isObject(subject)) return false;
  const name = stringOf(subject.name);
  switch (subject.kind) {
    case "User":
      return name === user.username;
    case "Group":
      return user.groups.includes(name);
    case "ServiceAccount":
      return user.username === `system:serviceaccount:${stringOf(subject.namespace) || namespace}:${name}`;
    default:
      return false;
  }
}

function parseRules(rules: unknown): PolicyRule[] {
  return arrayOf(rules).map((rule) => ({
    verbs: stringsOf(at(rule, "verbs")),
    apiGroups: stringsOf(at(rule, "apiGroups")),
    resources: stringsOf(at(rule, "resources")),
    resourceNames: stringsOf(at(rule, "resourceNames")),
    nonResourceURLs: stringsOf(at(rule, "nonResourceURLs")),
  }));
}

function covers(rule: PolicyRule, attributes: AccessAttributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false;
  if (!attributes.isResource)
    return rule.nonResourceURLs.some((pattern) => pathMatches(pattern, attributes.path));
  const { group, resource, subresource, name } = attributes;
  return (
    has(rule.apiGroups, group) &&
    resourceMatches(rule.resources, resource, subresource) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(name))
  );
}

function has(list: readonly string[], value: string): boolean {
  return list.includes("*") || list.includes(value);
}

function resourceMatches(list: readonly string[], resource: string, subresource: string): boolean {
  const whole = subresource === "" ? resource : `${resource}/${subresource}`;
  return has(list, whole) || (subresource !== "" && list.includes(`*/${subresource}`));
}

function pathMatches(pattern: string, path: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : pattern === path;
}

function printBinding({ kind, metadata, roleRef }: KubeObject): string {
  const where = metadata.namespace === undefined ? "" : `/${metadata.namespace}`;
  const name = `${metadata.name}${where}`;
  const role = `${stringOf(at(roleRef, "kind"))} ${JSON.stringify(stringOf(at(roleRef, "name")))}`;
  return `${kind} ${JSON.stringify(name)} of ${role}`;
}
