import { type KubernetesObject, kinds, lastingName, type Resource, teams, type View } from "./scene.ts";

/**
 * Why a complete list can't be the shard's under any of the views, undefined when it can: it holds all the lasting
 * objects of the teams of one view, and nothing of another team.
 */
export function wrongInList(
  resource: Resource,
  objects: readonly KubernetesObject[],
  views: readonly View[],
): string | undefined {
  const names = new Set(objects.map(({ metadata }) => metadata.name));
  const seen = teamsIn(objects);
  const reasons = views.map((view) => {
    const own = view.teams[resource];
    const foreign = [...seen].filter((team) => !own.includes(team));
    if (foreign.length > 0) return `${foreign.join(" ")} under ${own.join(" ")}`;
    const missing = own.flatMap((team) =>
      Array.from({ length: kinds[resource].lasting }, (_, index) => lastingName(team, index)).filter(
        (name) => !names.has(name),
      ),
    );
    return missing.length === 0 ? undefined : `no ${missing[0]} under ${own.join(" ")}`;
  });
  return reasons.includes(undefined) ? undefined : reasons.join("; ") || "no view was possible";
}

/** Teams of the objects; an object without its label counts as a team of its own. */
export function teamsIn(objects: readonly KubernetesObject[]): Set<string> {
  return new Set(objects.map(({ metadata }) => metadata.labels?.team ?? `(${metadata.name})`));
}

/** The same for answers that are not parsed (protobuf, tables): lasting objects carry their team in their name. */
export function wrongInBytes(resource: Resource, bytes: Buffer, views: readonly View[]): string | undefined {
  const text = bytes.toString("latin1");
  const seen = teams.filter((team) => text.includes(lastingName(team, 0)));
  const isPossible = views.some((view) => [...view.teams[resource]].sort().join() === seen.join());
  return isPossible ? undefined : `teams ${seen.join(" ")}`;
}
