import type { Log } from "#runtime/log";
import { arrayOf, at, isObject } from "../json.ts";
import type { ResourceDefinition } from "../resource.ts";
import { keyOf } from "../resource.ts";
import { createObject } from "../rest/create.ts";
import { type DeleteOptions, deleteObject } from "../rest/delete.ts";
import type { WriteRequest } from "../rest/write.ts";
import type { ServerState } from "../server-state.ts";
import { StatusError } from "../status-error.ts";
import type { Change } from "../storage.ts";
import { serverUser } from "../user.ts";

const background: DeleteOptions = {
  gracePeriodSeconds: undefined,
  uid: "",
  resourceVersion: "",
  propagation: "Background",
  dryRun: false,
};

/** A write of the server itself. */
export function ownWrite(
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  signal: AbortSignal,
): WriteRequest {
  return {
    definition,
    namespace,
    name,
    subresource: "",
    user: serverUser,
    fieldManager: "devcluster",
    fieldValidation: "Ignore",
    dryRun: false,
    warnings: [],
    signal,
  };
}

interface NamespaceControllerDeps {
  readonly state: ServerState;
  /** Content of kube-root-ca.crt. */
  readonly caPem: string;
  readonly log: Log;
}

/**
 * Keeps a `default` service account and the ConfigMap `kube-root-ca.crt` in every namespace, and empties namespaces
 * that are going away before it lets them go.
 */
export function startNamespaceController(
  { state, caPem, log }: NamespaceControllerDeps,
  signal: AbortSignal,
): Disposable {
  const { storage } = state;
  const busy = new Set<string>();
  const reconcile = async (name: string): Promise<void> => {
    if (busy.has(name) || signal.aborted) return;
    busy.add(name);
    try {
      await settle(state, name, caPem, signal);
    } catch (error) {
      if (!signal.aborted) log.error("a namespace could not be settled", { error, namespace: name });
    } finally {
      busy.delete(name);
    }
  };
  const onChange = (change: Change): void => {
    const [namespace = ""] = change.collection === "namespaces" ? [change.key] : change.key.split("/");
    const stored = storage.get("namespaces", namespace);
    if (stored === undefined) return;
    const isLeaving = stored.object.metadata.deletionTimestamp !== undefined;
    const isOwn = change.collection === "serviceaccounts" || change.collection === "configmaps";
    const lost = isOwn && change.current === undefined;
    // After the write's turn: a listener must not write while another listener still waits for this change.
    if (change.collection === "namespaces" || isLeaving || lost)
      setImmediate(() => void reconcile(namespace));
  };
  for (const { key } of storage.list("namespaces", "")) setImmediate(() => void reconcile(key));
  return storage.onChange(onChange);
}

async function settle(state: ServerState, name: string, caPem: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const before = state.storage.revision;
    const stored = state.storage.get("namespaces", name);
    if (stored === undefined || signal.aborted) return;
    if (stored.object.metadata.deletionTimestamp === undefined)
      await ensureContent(state, name, caPem, signal);
    else if (await isEmptied(state, name, signal)) return finalize(state, name);
    // What changed meanwhile was told while this namespace was busy.
    if (state.storage.revision === before) return;
  }
}

async function ensureContent(
  state: ServerState,
  namespace: string,
  caPem: string,
  signal: AbortSignal,
): Promise<void> {
  const wanted = [
    { resource: "serviceaccounts", body: { metadata: { name: "default" } } },
    { resource: "configmaps", body: { metadata: { name: "kube-root-ca.crt" }, data: { "ca.crt": caPem } } },
  ];
  for (const { resource, body } of wanted) {
    const definition = state.registry.find("", "v1", resource);
    if (definition === undefined) continue;
    if (state.storage.get(definition.collection, keyOf(definition, namespace, body.metadata.name))) continue;
    await quietly(createObject(state, ownWrite(definition, namespace, "", signal), body));
  }
}

/** Deletes all content; true when nothing is left. */
async function isEmptied(state: ServerState, namespace: string, signal: AbortSignal): Promise<boolean> {
  let left = 0;
  for (const [collection, definition] of state.registry.byCollection()) {
    if (!definition.namespaced) continue;
    for (const { object } of state.storage.list(collection, `${namespace}/`)) {
      left++;
      if (object.metadata.deletionTimestamp !== undefined) continue;
      await quietly(
        deleteObject(state, ownWrite(definition, namespace, object.metadata.name ?? "", signal), background),
      );
    }
  }
  return left === 0;
}

function finalize(state: ServerState, name: string): void {
  const stored = state.storage.get("namespaces", name);
  if (stored === undefined) return;
  const others = arrayOf(at(stored.object.spec, "finalizers")).filter(
    (finalizer) => finalizer !== "kubernetes",
  );
  const held = others.length > 0 || (stored.object.metadata.finalizers ?? []).length > 0;
  if (!held) state.storage.delete("namespaces", name, stored.revision);
  else if (others.length !== arrayOf(at(stored.object.spec, "finalizers")).length) {
    const spec = { ...(isObject(stored.object.spec) ? stored.object.spec : {}), finalizers: others };
    state.storage.update("namespaces", name, { ...stored.object, spec }, stored.revision);
  }
}

/** Another writer was first, or the object is gone: the next look finds out. */
async function quietly(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}
