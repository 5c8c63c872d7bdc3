import { CtrlmeshError } from "#api/errors";
import type { ListQuery, ObjectName, ResourceKind, WatchQuery, WriteOptions } from "./client.ts";

/** `/api/v1/namespaces/<namespace>/pods`, `/apis/<group>/<version>/<resource>`; without a namespace: all of them. */
export function collectionPath(kind: ResourceKind, namespace: string | undefined): string {
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  if (namespace === undefined || !kind.namespaced) return `${root}/${kind.resource}`;
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${kind.resource}`;
}

/** @throws INTERNAL when a namespaced object is named without its namespace: it would address another resource. */
export function objectPath(kind: ResourceKind, name: ObjectName, subresource?: string): string {
  if (name.name === "" || (kind.namespaced && (name.namespace ?? "") === "")) {
    throw new CtrlmeshError("INTERNAL", {
      what: `${kind.resource} needs a name${kind.namespaced ? " and a namespace" : ""}`,
      where: JSON.stringify(name),
    });
  }
  const path = `${collectionPath(kind, name.namespace)}/${encodeURIComponent(name.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

export function listSearch(query: ListQuery): string {
  return search({
    labelSelector: query.labelSelector,
    fieldSelector: query.fieldSelector,
    limit: query.limit,
    continue: query.continueToken,
    // A continue token carries its own resourceVersion; the server refuses both together.
    resourceVersion: query.continueToken === undefined ? query.resourceVersion : undefined,
    resourceVersionMatch: query.continueToken === undefined ? query.resourceVersionMatch : undefined,
  });
}

export function watchSearch(query: WatchQuery): string {
  return search({
    watch: "true",
    allowWatchBookmarks: "true",
    labelSelector: query.labelSelector,
    fieldSelector: query.fieldSelector,
    resourceVersion: query.resourceVersion,
    timeoutSeconds: query.timeoutSeconds,
  });
}

export function writeSearch(options: WriteOptions, force?: boolean): string {
  return search({
    fieldManager: options.fieldManager,
    dryRun: options.dryRun === true ? "All" : undefined,
    force: force === true ? "true" : undefined,
  });
}

/** Key under which an object is stored and queued: `<namespace>/<name>`, `/<name>` without a namespace. */
export function keyOf(name: ObjectName): string {
  return `${name.namespace ?? ""}/${name.name}`;
}

/** Inverse of `keyOf`. */
export function nameOf(key: string): ObjectName {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  return slash <= 0 ? { name } : { namespace: key.slice(0, slash), name };
}

function search(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const used = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") used.set(name, String(value));
  }
  const text = used.toString();
  return text === "" ? "" : `?${text}`;
}
