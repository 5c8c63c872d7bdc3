import { bucketOf } from "#api/bucket";
import { atomName } from "#api/coverage";
import type { KubernetesObject } from "#api/meta";
import { listAll } from "#kube/client/list-all";
import type { ServedResource } from "#manager/sharding/discovery";
import { kindName, namespacedKind } from "#manager/sharding/stamp";
import type { ClusterSession } from "../connection.ts";
import { eachPage } from "../each-page.ts";
import { kinds } from "../kinds.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import type { Move } from "./moves.ts";

/** A move with the namespaces that go with it and how many objects of each kind. */
export interface AffectedMove extends Move {
  /** namespace of the operator. */
  readonly namespace: string;
  readonly namespaces: readonly string[];
  readonly objects: Readonly<Record<string, number>>;
}

/** A move with what its operator limits and names. */
export interface MoveOfOperator extends Move {
  readonly namespace: string;
  /** Kinds of the operator's limits. */
  readonly limited: readonly ServedResource[];
  /** Namespaces that are atoms by themselves, before or after: they don't go with their buckets. */
  readonly named: ReadonlySet<string>;
}

/** Finds the namespaces of each move, and counts their objects, by pages of metadata. */
export async function affectedBy(
  moves: readonly MoveOfOperator[],
  settings: MeshSettings,
  session: ClusterSession,
): Promise<AffectedMove[]> {
  const { client } = session;
  const { objects } = await listAll(client, kinds.namespaces, { metadataOnly: true }, session);
  const names = objects
    .map(({ metadata }) => metadata?.name ?? "")
    .filter((name) => !settings.exemptNamespaces.includes(name));
  const found = moves.map((move) => ({
    move,
    namespaces: new Set(names.filter((name) => name !== move.namespace && goesWith(name, move, settings))),
    counts: new Map<string, number>(),
  }));
  const limited = new Map(
    moves.flatMap((move) => move.limited.map((kind) => [kindName(kind), kind] as const)),
  );
  for (const [name, kind] of limited) {
    const visitor = {
      onStart: () => {
        for (const { counts } of found) counts.delete(name);
      },
      onPage: (page: readonly KubernetesObject[]) => {
        for (const { metadata } of page) {
          for (const { move, namespaces, counts } of found) {
            if (!namespaces.has(metadata?.namespace ?? "") || !move.limited.includes(kind)) continue;
            counts.set(name, (counts.get(name) ?? 0) + 1);
          }
        }
      },
    };
    await session.progress.step(`counting ${name}`, () =>
      eachPage(client, namespacedKind(kind), {}, visitor, session),
    );
  }
  return found.map(({ move: { limited: _limited, named: _named, ...move }, namespaces, counts }) => ({
    ...move,
    namespaces: [...namespaces].sort(),
    objects: Object.fromEntries([...counts].sort()),
  }));
}

/** A namespace goes with its own atom where it is one, else with its bucket. */
function goesWith(name: string, { atoms, named }: MoveOfOperator, { hash }: MeshSettings): boolean {
  const bucket = bucketOf(name, hash);
  const own = atomName({ kind: "namespace", namespace: name, bucket });
  return atoms.includes(named.has(own) ? own : atomName({ kind: "bucket", bucket }));
}
