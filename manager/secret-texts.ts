import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";

/**
 * The entries of a Secret as text.
 *
 * @throws INVALID_RESOURCE when `data` is no map of strings
 */
export function textsOfSecret(secret: KubernetesObject): ReadonlyMap<string, string> {
  return new Map(
    stringEntries(secret, "Secret").map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8"),
    ]),
  );
}

/** @throws INVALID_RESOURCE when `data` is no map of strings */
export function textsOfConfigMap(configMap: KubernetesObject): ReadonlyMap<string, string> {
  return new Map(stringEntries(configMap, "ConfigMap"));
}

export function secretBody(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
}

function stringEntries(object: KubernetesObject, kind: string): [string, string][] {
  const { data } = object;
  if (data === undefined || data === null) return [];
  const entries: [string, unknown][] = typeof data === "object" ? Object.entries(data) : [["", data]];
  return entries.map(([key, value]) => {
    if (typeof value === "string") return [key, value];
    const { namespace = "", name = "" } = object.metadata ?? {};
    throw new CtrlmeshError("INVALID_RESOURCE", {
      where: `${kind} ${namespace}/${name}: data.${key}`,
      what: "the value is no text",
    });
  });
}
