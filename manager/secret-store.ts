import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import { secretBody } from "./secret-texts.ts";

const secretKind: ResourceKind = { group: "", version: "v1", resource: "secrets", namespaced: true };

interface SecretDeps {
  readonly client: KubeClient;
  readonly namespace: string;
}

/** A Secret of the manager's namespace; undefined when there is none. */
export async function readSecret(
  { client, namespace }: SecretDeps,
  name: string,
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  try {
    return await client.get(secretKind, { namespace, name }, { signal });
  } catch (thrown) {
    if (thrown instanceof CtrlmeshError && thrown.code === "API_NOT_FOUND") return undefined;
    throw thrown;
  }
}

/**
 * Creates a Secret, or replaces the entries of the one that was read.
 *
 * @throws API_CONFLICT when somebody else was faster
 */
export async function writeSecret(
  { client, namespace }: SecretDeps,
  { name, present, texts }: SecretWrite,
  signal: AbortSignal,
): Promise<void> {
  const body = secretBody(texts);
  if (present === undefined) {
    const metadata = { name, namespace };
    const secret = { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data: body };
    await client.create(secretKind, secret, { signal });
    return;
  }
  await client.update(secretKind, { ...present, apiVersion: "v1", kind: "Secret", data: body }, { signal });
}

interface SecretWrite {
  readonly name: string;
  readonly present: KubernetesObject | undefined;
  readonly texts: Readonly<Record<string, string>>;
}
