import { copyOf, isEqual, isObject, type JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { trackUpdate } from "../managed-fields/managed-fields.ts";
import { metadataCauses, metadataUpdateCauses } from "../metadata-rules.ts";
import { keyOf, type ResourceDefinition, shown, storedForm } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { conflict, invalid, modifiedMeanwhile, notFound } from "../status-error.ts";
import type { Stored } from "../storage.ts";
import { decodeObject } from "./decode.ts";
import {
  admit,
  attributesOf,
  checkNamespace,
  mutate,
  nameMismatch,
  refuseInvalid,
  schemaCauses,
  type WriteRequest,
} from "./write.ts";

/** How often a patch or a blind update is tried again when another write came between. */
const conflictRetries = 5;

/** @throws StatusError 404, 409 and whatever validation and admission refuse */
export async function updateObject(
  state: ServerState,
  request: WriteRequest,
  body: unknown,
): Promise<KubeObject> {
  const { definition, fieldValidation, warnings } = request;
  const decoded = decodeObject(definition, body, fieldValidation, warnings);
  if (request.name !== (decoded.metadata.name ?? ""))
    throw nameMismatch(decoded.metadata.name ?? "", request.name);
  checkNamespace(request, decoded.metadata.namespace ?? "");
  if ((decoded.metadata.resourceVersion ?? "") === "" && !definition.strategy.allowsBlindUpdate) {
    throw invalid(definition.resource, definition.group, request.name, [
      {
        reason: "FieldValueInvalid",
        message: "Invalid value: 0: must be specified for an update",
        field: "metadata.resourceVersion",
      },
    ]);
  }
  return replaceObject(state, request, () => decoded, true);
}

/**
 * Reads, changes and writes back: again when another write came between, unless the change names the
 * resourceVersion that it was made for.
 *
 * @param change from the object as this version shows it to the wanted one
 */
export async function replaceObject(
  state: ServerState,
  request: WriteRequest,
  change: (current: KubeObject) => KubeObject,
  tracked: boolean,
): Promise<KubeObject> {
  const { definition, namespace, name } = request;
  const key = keyOf(definition, namespace, name);
  for (let attempt = 1; ; attempt++) {
    const stored = state.storage.get(definition.collection, key);
    if (stored === undefined) throw notFound(definition, name);
    const current = shown(definition, stored.object);
    const wanted = change(current);
    checkPreconditions(request, wanted, current);
    const next = await prepareUpdate(state, request, wanted, current, tracked);
    request.signal.throwIfAborted();
    if (isEqual(withoutVersion(next), withoutVersion(current))) return current;
    if (request.dryRun) return next;
    const written = commit(state, request, next, stored);
    if (written !== undefined) return written;
    const named =
      (wanted.metadata.resourceVersion ?? "") !== "" &&
      wanted.metadata.resourceVersion !== current.metadata.resourceVersion;
    if (named || attempt > conflictRetries) throw conflict(definition, name, modifiedMeanwhile);
  }
}

function checkPreconditions(
  { definition, name }: WriteRequest,
  wanted: KubeObject,
  current: KubeObject,
): void {
  const { uid = "", resourceVersion = "" } = wanted.metadata;
  if (uid !== "" && uid !== current.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(definition, name, why);
  }
  if (resourceVersion !== "" && resourceVersion !== current.metadata.resourceVersion)
    throw conflict(definition, name, modifiedMeanwhile);
}

function withoutVersion(object: KubeObject): JsonObject {
  const { resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}

async function prepareUpdate(
  state: ServerState,
  request: WriteRequest,
  wanted: KubeObject,
  current: KubeObject,
  tracked: boolean,
): Promise<KubeObject> {
  const { definition } = request;
  let next = keepProtected(request, copyOf(wanted), current);
  if (tracked) {
    const writer = {
      manager: request.fieldManager,
      subresource: request.subresource,
      nowMs: state.clock.now(),
    };
    trackUpdate(definition, current, next, writer);
  }
  const attributes = attributesOf(request, "UPDATE", next, current);
  next = keepProtected(request, await mutate(state, attributes), current);
  definition.strategy.prepareUpdate?.(next, current);
  if (definition.strategy.countsGeneration && isDesiredChanged(next, current))
    next.metadata.generation = (current.metadata.generation ?? 0) + 1;
  refuseInvalid(definition, next, [
    ...metadataCauses(definition, next),
    ...metadataUpdateCauses(next, current),
    ...schemaCauses(definition, next),
    ...(definition.strategy.validate?.(next) ?? []),
    ...(definition.strategy.validateUpdate?.(next, current) ?? []),
  ]);
  await admit(state, { ...attributes, object: next });
  return next;
}

/** Fields that this request cannot change get their present value. */
function keepProtected(request: WriteRequest, wanted: KubeObject, current: KubeObject): KubeObject {
  const { definition, subresource } = request;
  const next = subresource === "status" ? withStatusOf(definition, wanted, current) : wanted;
  if (subresource === "" && definition.strategy.hasStatus) {
    if (current.status === undefined) delete next.status;
    else next.status = current.status;
  }
  const { metadata } = next;
  const kept = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "resourceVersion",
    "generateName",
  ] as const;
  const protectedFields: JsonObject = {};
  for (const field of kept) {
    const value = current.metadata[field];
    if (value === undefined) delete metadata[field];
    else protectedFields[field] = value;
  }
  Object.assign(metadata, protectedFields, { name: current.metadata.name });
  return next;
}

function withStatusOf(definition: ResourceDefinition, wanted: KubeObject, current: KubeObject): KubeObject {
  const { status: _status, ...rest } = current;
  // Built-in kinds let a status update change labels and annotations too; custom resources do not.
  const metadata = definition.isCustom
    ? { ...current.metadata, ...managedFieldsOf(wanted) }
    : {
        ...wanted.metadata,
        ...(current.metadata.ownerReferences === undefined
          ? {}
          : { ownerReferences: current.metadata.ownerReferences }),
      };
  return { ...rest, metadata, ...(wanted.status === undefined ? {} : { status: wanted.status }) };
}

function managedFieldsOf({ metadata }: KubeObject): JsonObject {
  return metadata.managedFields === undefined ? {} : { managedFields: metadata.managedFields };
}

function isDesiredChanged(next: KubeObject, current: KubeObject): boolean {
  const { metadata: _nm, status: _ns, ...desired } = next;
  const { metadata: _cm, status: _cs, ...before } = current;
  return !isEqual(desired, before);
}

/** undefined: another write came first. */
function commit(
  state: ServerState,
  { definition }: WriteRequest,
  next: KubeObject,
  stored: Stored,
): KubeObject | undefined {
  const { collection } = definition;
  const object = storedForm(definition, next);
  if (isFinished(next)) {
    // The last finalizer is gone: the update deletes. Watchers see the state that the update made.
    const outcome = state.storage.delete(collection, stored.key, stored.revision, object);
    return outcome.kind === "stored" ? shown(definition, outcome.stored.object) : undefined;
  }
  const outcome = state.storage.update(collection, stored.key, object, stored.revision);
  return outcome.kind === "stored" ? shown(definition, outcome.stored.object) : undefined;
}

/** Marked for deletion, and nobody has to do anything more. */
function isFinished({ metadata, spec }: KubeObject): boolean {
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    (metadata.finalizers ?? []).length === 0 &&
    !(isObject(spec) && Array.isArray(spec.finalizers) && spec.finalizers.length > 0)
  );
}
