import { requirementsOf, selectorMatches } from "#api/label-selector";
import { annotations, labels } from "#api/names";
import type { ShardingConfig } from "#api/sharding-config";
import type { NamespaceFacts, UnreadableShardingConfig } from "./listers.ts";

export interface OptInQuestion {
  readonly podLabels: Readonly<Record<string, string>>;
  readonly namespace: Pick<NamespaceFacts, "name" | "labels" | "annotations">;
  /** All of the namespace. */
  readonly configs: readonly ShardingConfig[];
  readonly unreadable: readonly UnreadableShardingConfig[];
}

export type OptInAnswer =
  | { readonly kind: "leave" }
  | { readonly kind: "inject"; readonly config: ShardingConfig }
  | { readonly kind: "refuse"; readonly where: string; readonly what: string; readonly hint: string };

/** Whether a namespace asks for injection: by annotation, or by a label of the same key. The annotation wins. */
export function isOptedIn(namespace: Pick<NamespaceFacts, "labels" | "annotations">): boolean {
  return (namespace.annotations[annotations.enableProxy] ?? namespace.labels[labels.enableProxy]) === "true";
}

/**
 * Which pods must have the proxy (`ownership.md` 8): in an opted-in namespace those that a ShardingConfig
 * selects; a pod that is labelled itself must be selected. "false" on the pod wins over the namespace.
 * What can't be decided is refused: a pod that runs without its proxy would own what others own too.
 */
export function decideOptIn(question: OptInQuestion): OptInAnswer {
  const own = question.podLabels[labels.enableProxy];
  const where = `metadata.labels[${labels.enableProxy}]`;
  if (own === "false") return { kind: "leave" };
  if (own !== undefined && own !== "true") {
    return { kind: "refuse", where, what: `"${own}" is not allowed`, hint: 'write "true" or "false"' };
  }
  if (own === undefined && !isOptedIn(question.namespace)) return { kind: "leave" };
  const [unreadable] = question.unreadable;
  if (unreadable !== undefined) {
    return {
      kind: "refuse",
      where: `ShardingConfig ${question.namespace.name}/${unreadable.name}`,
      what: `it can't be read, so it may select this pod: ${unreadable.problem}`,
      hint: "correct or delete it",
    };
  }
  const matching = question.configs.filter((config) => selects(config, question.podLabels));
  const [config, second] = matching;
  if (config !== undefined && second === undefined) return { kind: "inject", config };
  if (config === undefined)
    return own === "true" ? noMatch(question.namespace.name, where) : { kind: "leave" };
  const names = matching.map(({ metadata }) => metadata.name).join(", ");
  return {
    kind: "refuse",
    where: "metadata.labels",
    what: `more than one ShardingConfig of namespace ${question.namespace.name} selects this pod: ${names}`,
    hint: "change the selectors so that one of them does",
  };
}

/** Whether a ShardingConfig makes a pod its own. A root never does; one that is being deleted still does. */
export function selects(config: ShardingConfig, podLabels: Readonly<Record<string, string>>): boolean {
  if (config.spec.root !== undefined || config.spec.selector === undefined) return false;
  const requirements = requirementsOf(config.spec.selector, "spec.selector");
  return requirements.length > 0 && selectorMatches(requirements, podLabels);
}

function noMatch(namespace: string, where: string): OptInAnswer {
  return {
    kind: "refuse",
    where,
    what: `the pod asks for the proxy, and no ShardingConfig of namespace ${namespace} selects it`,
    hint: `apply the ShardingConfig first, correct its selector, or set the label to "false"`,
  };
}
