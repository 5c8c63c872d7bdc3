import type { ErrorCode } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import type { KubeConnection } from "#kube/client/client";
import { kinds } from "../flow/mesh.ts";
import { sourceLabel } from "./operator-manifests.ts";

const never = new AbortController().signal;
const atOnce = 16;
const retryMs = 100;
/** What an API server that ends or starts answers; 403: its admission plugins have not read all yet. */
const away: readonly ErrorCode[] = ["API_UNREACHABLE", "API_REQUEST_FAILED", "API_FORBIDDEN"];

/** A ConfigMap that the Go operator works on. */
export function sourceObject(namespace: string, name: string): KubernetesObject {
  const metadata = { namespace, name, labels: { [sourceLabel]: "true" } };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { text: `${namespace}/${name}` } };
}

/**
 * Creates sources, some at a time, and goes on through a restart of the API server.
 *
 * @param names "namespace/name"
 * @returns what the API server answered to each create; nothing for one whose answer was lost in a restart
 */
export async function createSources(
  client: KubeConnection,
  names: readonly string[],
): Promise<readonly KubernetesObject[]> {
  const made: KubernetesObject[] = [];
  await eachOf(names, async (object) => {
    const [namespace = "", name = ""] = object.split("/");
    const create = () => client.create(kinds.configMaps, sourceObject(namespace, name), { signal: never });
    const answer = await throughRestarts(create, "API_CONFLICT");
    if (answer !== undefined) made.push(answer);
  });
  return made;
}

/** Deletes sources in the same way. */
export async function deleteSources(client: KubeConnection, names: readonly string[]): Promise<void> {
  await eachOf(names, async (object) => {
    const [namespace = "", name = ""] = object.split("/");
    const remove = () => client.delete(kinds.configMaps, { namespace, name }, { signal: never });
    await throughRestarts(remove, "API_NOT_FOUND");
  });
}

async function eachOf(names: readonly string[], work: (name: string) => Promise<void>): Promise<void> {
  const left = names.values();
  const worker = async (): Promise<void> => {
    for (const name of left) await work(name);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Tries until there is an answer; `done` is one that says that an earlier try, whose answer was lost, succeeded. */
async function throughRestarts<T>(call: () => Promise<T>, done: ErrorCode): Promise<T | undefined> {
  for (let isRetry = false; ; isRetry = true) {
    try {
      return await call();
    } catch (error) {
      if (isRetry && isApiError(error, done)) return undefined;
      if (!away.some((code) => isApiError(error, code))) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}
