import { invalidValue, notSupported } from "../field-errors.ts";
import { arrayOf, copyOf, isObject, type JsonObject, numberOf, stringOf, stringsOf } from "../json.ts";
import { type KubeObject, timestamp } from "../kube-object.ts";
import { keyOf, type ResourceDefinition, shown } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { type Cause, conflict, forbidden, invalid, notFound } from "../status-error.ts";
import type { Stored } from "../storage.ts";
import type { WriteRequest } from "./write.ts";

export type Propagation = "Foreground" | "Background" | "Orphan";

/** metav1.DeleteOptions as far as they are honoured. */
export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly propagation: Propagation;
  readonly dryRun: boolean;
}

/**
 * Body first, query second, as the API server reads them.
 *
 * @throws StatusError 422 for a propagation or dry run that does not exist
 */
export function parseDeleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const options: JsonObject = isObject(body) ? body : {};
  const preconditions = isObject(options.preconditions) ? options.preconditions : {};
  const grace = options.gracePeriodSeconds ?? Number(query.get("gracePeriodSeconds") ?? Number.NaN);
  const policy = stringOf(options.propagationPolicy) || (query.get("propagationPolicy") ?? "");
  const orphans = options.orphanDependents ?? query.get("orphanDependents") ?? undefined;
  const dryRun = [...stringsOf(options.dryRun), ...query.getAll("dryRun")];
  const causes = optionCauses(policy, orphans !== undefined, dryRun);
  if (causes.length > 0) throw invalid("DeleteOptions", "meta.k8s.io", "", causes);
  const propagation =
    policy === "Foreground" || policy === "Orphan"
      ? policy
      : policy === "" && String(orphans) === "true"
        ? "Orphan"
        : "Background";
  return {
    gracePeriodSeconds: typeof grace === "number" && !Number.isNaN(grace) ? Math.max(0, grace) : undefined,
    uid: stringOf(preconditions.uid),
    resourceVersion: stringOf(preconditions.resourceVersion),
    propagation,
    dryRun: dryRun.length > 0,
  };
}

const policies = ["Foreground", "Background", "Orphan"];

function optionCauses(policy: string, namesOrphans: boolean, dryRun: readonly string[]): Cause[] {
  const causes: Cause[] = [];
  if (policy !== "" && namesOrphans) {
    const detail = "orphanDependents and deletionPropagation cannot be both set";
    causes.push(invalidValue("propagationPolicy", policy, detail));
  }
  if (policy !== "" && !policies.includes(policy))
    causes.push(notSupported("propagationPolicy", policy, [...policies, "nil"]));
  if (dryRun.some((each) => each !== "All")) causes.push(notSupported("dryRun", dryRun, ["All"]));
  return causes;
}

const propagationFinalizers = { Foreground: "foregroundDeletion", Orphan: "orphan" } as const;

/**
 * Deletes, or marks for deletion what finalizers, dependents or a running container still hold.
 *
 * @returns the object, and whether it is gone
 * @throws StatusError 404, 409 for a precondition, and what admission refuses
 */
export async function deleteObject(
  state: ServerState,
  request: WriteRequest,
  options: DeleteOptions,
): Promise<{ readonly object: KubeObject; readonly gone: boolean }> {
  const { definition, namespace, name, user, warnings, signal } = request;
  if (definition.collection === "namespaces" && protectedNamespaces.has(name))
    throw forbidden(definition, name, "this namespace may not be deleted");
  const key = keyOf(definition, namespace, name);
  for (;;) {
    const stored = state.storage.get(definition.collection, key);
    if (stored === undefined) throw notFound(definition, name);
    const current = shown(definition, stored.object);
    checkPreconditions(definition, name, current, options);
    for (const step of state.admission) {
      await step.validate?.({
        operation: "DELETE",
        definition,
        subresource: "",
        namespace,
        name,
        object: undefined,
        previous: current,
        user,
        dryRun: options.dryRun,
        options: {
          kind: "DeleteOptions",
          apiVersion: "meta.k8s.io/v1",
          propagationPolicy: options.propagation,
        },
        warnings,
        signal,
      });
    }
    const outcome = removeOrMark(state, definition, stored, options);
    if (outcome !== undefined) return { object: shown(definition, outcome.object), gone: outcome.gone };
  }
}

const protectedNamespaces = new Set(["default", "kube-system", "kube-public"]);

function checkPreconditions(
  definition: ResourceDefinition,
  name: string,
  { metadata }: KubeObject,
  { uid, resourceVersion }: DeleteOptions,
): void {
  // The API server names the kind here, not the resource.
  const subject = { group: definition.group, resource: definition.kind };
  if (uid !== "" && uid !== metadata.uid) {
    const why = `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`;
    throw conflict(subject, name, why);
  }
  if (resourceVersion !== "" && resourceVersion !== metadata.resourceVersion) {
    const why = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`;
    throw conflict(subject, name, why);
  }
}

/** undefined: another write came between, read again. */
function removeOrMark(
  state: ServerState,
  definition: ResourceDefinition,
  stored: Stored,
  options: DeleteOptions,
): { object: KubeObject; gone: boolean } | undefined {
  const { object } = stored;
  const grace = definition.strategy.gracePeriodSeconds?.(object, options.gracePeriodSeconds) ?? 0;
  const finalizers = finalizersAfter(object, options.propagation);
  const held =
    finalizers.length > 0 ||
    grace > 0 ||
    (isObject(object.spec) && arrayOf(object.spec.finalizers).length > 0);
  if (!held) {
    if (options.dryRun) return { object, gone: true };
    const last = lastState(state, definition, object);
    const outcome = state.storage.delete(definition.collection, stored.key, stored.revision, last);
    return outcome.kind === "stored" ? { object: last, gone: true } : undefined;
  }
  const next = markedForDeletion(state, definition, object, finalizers, grace);
  if (next === undefined || options.dryRun) return { object: next ?? object, gone: false };
  const outcome = state.storage.update(definition.collection, stored.key, next, stored.revision);
  return outcome.kind === "stored" ? { object: outcome.stored.object, gone: false } : undefined;
}

/** What watchers see last of a kind that is deleted gracefully: no time is left. */
function lastState({ clock }: ServerState, { strategy }: ResourceDefinition, object: KubeObject): KubeObject {
  if (strategy.gracePeriodSeconds === undefined) return object;
  const deletionTimestamp = object.metadata.deletionTimestamp ?? timestamp(clock.now());
  return { ...object, metadata: { ...object.metadata, deletionTimestamp, deletionGracePeriodSeconds: 0 } };
}

function finalizersAfter({ metadata }: KubeObject, propagation: Propagation): string[] {
  const others = (metadata.finalizers ?? []).filter(
    (finalizer) => finalizer !== "orphan" && finalizer !== "foregroundDeletion",
  );
  return propagation === "Background" ? others : [...others, propagationFinalizers[propagation]];
}

/** undefined: it is marked already, with no longer a time left. */
function markedForDeletion(
  { clock }: ServerState,
  definition: ResourceDefinition,
  object: KubeObject,
  finalizers: string[],
  grace: number,
): KubeObject | undefined {
  const { metadata } = object;
  const marked = metadata.deletionTimestamp !== undefined;
  if (
    marked &&
    (metadata.deletionGracePeriodSeconds ?? 0) <= grace &&
    (metadata.finalizers?.length ?? 0) === finalizers.length
  )
    return undefined;
  const next = copyOf(object);
  next.metadata.deletionTimestamp = timestamp(clock.now() + grace * 1000);
  next.metadata.deletionGracePeriodSeconds = grace;
  if (finalizers.length > 0) next.metadata.finalizers = finalizers;
  else delete next.metadata.finalizers;
  if (!marked && definition.strategy.countsGeneration)
    next.metadata.generation = numberOf(metadata.generation) + 1;
  if (definition.collection === "namespaces")
    next.status = { ...(isObject(next.status) ? next.status : {}), phase: "Terminating" };
  return next;
}
