import { CtrlmeshError } from "#api/errors";
import type { ObjectLimiter } from "#api/sharding-config";

interface Pattern {
  readonly group: string;
  readonly resource: string;
  readonly where: string;
}

/**
 * The first limit whose patterns match a resource decides, so a pattern that an earlier one covers wholly
 * would never be used: most likely two limits for one resource.
 *
 * @param where path of the list of limits
 * @throws INVALID_RESOURCE
 */
export function refuseUnreachableLimits(limits: readonly ObjectLimiter[], where: string): void {
  const patterns = limits.flatMap((limit, index) => patternsOf(limit, `${where}[${index}]`));
  for (const [index, pattern] of patterns.entries()) {
    const earlier = patterns.slice(0, index).find((other) => covers(other, pattern));
    if (earlier === undefined) continue;
    throw new CtrlmeshError("INVALID_RESOURCE", {
      where: pattern.where,
      what: `"${pattern.resource}" of group "${pattern.group}" is limited by ${earlier.where} already`,
      hint: "limit each resource once; put entries with '*' last",
    });
  }
}

/** Patterns of a limit; no relateResources, or an empty list in one, means everything. */
export function patternsOf(limit: ObjectLimiter, where: string): Pattern[] {
  const related = limit.relateResources ?? [];
  if (related.length === 0) return [{ group: "*", resource: "*", where }];
  return related.flatMap(({ apiGroups, resources }, index) =>
    orEverything(apiGroups).flatMap((group) =>
      orEverything(resources).map((resource) => ({
        group,
        resource,
        where: `${where}.relateResources[${index}]`,
      })),
    ),
  );
}

export function covers(left: Omit<Pattern, "where">, right: Omit<Pattern, "where">): boolean {
  return (
    (left.group === "*" || left.group === right.group) &&
    (left.resource === "*" || left.resource === right.resource)
  );
}

function orEverything(list: readonly string[] | undefined): readonly string[] {
  return list === undefined || list.length === 0 ? ["*"] : list;
}
