import { caBundleKeys, wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import { certificatesOf } from "#manager/ca";
import { kinds } from "../kinds.ts";
import type { CheckContext } from "./check.ts";
import { memberOf, readIfThere, textOf } from "./read.ts";

/**
 * Certificates of the mesh CA, PEM: from its Secret, or where we may not read that, from what is published in the
 * manager's namespace. Empty where there is neither.
 */
export async function readMeshCa({
  client,
  settings,
  signal,
}: Pick<CheckContext, "client" | "settings" | "signal">): Promise<readonly string[]> {
  const { namespace } = settings;
  const call = { signal };
  try {
    const secret = await readIfThere(client, kinds.secrets, { namespace, name: wellKnown.caSecret }, call);
    return certificatesOf(secretText(secret?.data, "ca.crt") ?? "");
  } catch (thrown) {
    if (!isApiError(thrown, "API_FORBIDDEN")) throw thrown;
  }
  const name = { namespace, name: wellKnown.caBundleConfigMap };
  const published = await readIfThere(client, kinds.configMaps, name, call);
  return certificatesOf(textOf(memberOf(published?.data, caBundleKeys.mesh)) ?? "");
}

/** An entry of a Secret's `data` as text. */
export function secretText(data: unknown, key: string): string | undefined {
  const value = textOf(memberOf(data, key));
  return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
}
