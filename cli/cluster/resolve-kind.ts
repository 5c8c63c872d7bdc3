import { CtrlmeshError } from "#api/errors";
import { isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import type { ServedResource } from "#manager/sharding/discovery";
import { nearestName } from "#runtime/nearest-name";
import { memberOf, recordsOf, textOf } from "./check/read.ts";

/** "configmap/a" as the user wrote it. */
export interface ObjectReference {
  /** Plural, singular, kind or short name, with a group after a dot where one is given. */
  readonly kind: string;
  readonly name: string;
}

/** @throws INVALID_FLAG for a text that is no KIND/NAME */
export function parseReference(text: string): ObjectReference {
  const [kind = "", name = "", ...rest] = text.split("/");
  if (kind !== "" && name !== "" && rest.length === 0) return { kind, name };
  throw new CtrlmeshError("INVALID_FLAG", {
    what: `${JSON.stringify(text)} names no object`,
    where: "KIND/NAME",
    hint: "write it as kubectl does, such as configmap/settings or certificate.cert-manager.io/web",
  });
}

/**
 * The served resource that a user means, in the server's preferred version.
 *
 * @throws INVALID_FLAG with the nearest name when there is none
 */
export async function resolveKind(
  client: KubeClient,
  word: string,
  served: readonly ServedResource[],
  call: CallOptions,
): Promise<ServedResource> {
  const dot = word.indexOf(".");
  const [name, group] = dot < 0 ? [word, undefined] : [word.slice(0, dot), word.slice(dot + 1)];
  const lower = name.toLowerCase();
  const inGroup = served.filter((each) => group === undefined || each.group === group);
  const found =
    inGroup.find(({ resource }) => resource === lower) ??
    inGroup.find(({ kind }) => kind.toLowerCase() === lower) ??
    (await byShortName(client, lower, inGroup, call));
  if (found !== undefined) return found;
  const nearest = nearestName(
    lower,
    served.flatMap(({ resource, kind }) => [resource, kind.toLowerCase()]),
  );
  throw new CtrlmeshError("INVALID_FLAG", {
    what: `the API server has no kind ${JSON.stringify(word)}`,
    where: "KIND/NAME",
    hint: nearest === undefined ? "see kubectl api-resources" : `did you mean ${nearest}?`,
  });
}

/** Short names stand only in the lists of each group version. */
async function byShortName(
  client: KubeClient,
  word: string,
  served: readonly ServedResource[],
  call: CallOptions,
): Promise<ServedResource | undefined> {
  const paths = new Set(
    served.map(({ group, version }) => (group === "" ? `/api/${version}` : `/apis/${group}/${version}`)),
  );
  const lists = await Promise.all(
    [...paths].map(async (path) => {
      // An aggregated API server that is down hides only its own names.
      const list = await client.raw("GET", path, undefined, call).catch(() => undefined);
      call.signal.throwIfAborted();
      return { path, names: recordsOf(memberOf(list, "resources")).filter(hasShortName(word)) };
    }),
  );
  for (const { path, names } of lists) {
    const [first] = names;
    const found = served.find(
      ({ group, version, resource }) =>
        path === (group === "" ? `/api/${version}` : `/apis/${group}/${version}`) &&
        resource === textOf(first?.name),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function hasShortName(word: string): (resource: unknown) => boolean {
  return (resource) =>
    isRecord(resource) && Array.isArray(resource.shortNames) && resource.shortNames.includes(word);
}
