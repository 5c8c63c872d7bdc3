import { randomBytes, randomUUID } from "node:crypto";
import type { AdmissionAttributes } from "../admission/attributes.ts";
import { copyOf, isEqual, isObject, type JsonObject } from "../json.ts";
import { type KubeObject, timestamp } from "../kube-object.ts";
import { trackUpdate } from "../managed-fields/managed-fields.ts";
import { metadataCauses, metadataUpdateCauses } from "../metadata-rules.ts";
import { keyOf, type ResourceDefinition, shown, storedForm } from "../resource.ts";
import { validate } from "../schema/validate.ts";
import type { ServerState } from "../server-state.ts";
import {
  alreadyExists,
  badRequest,
  type Cause,
  conflict,
  invalid,
  modifiedMeanwhile,
  notFound,
  StatusError,
} from "../status-error.ts";
import type { Stored } from "../storage.ts";
import type { User } from "../user.ts";
import { decodeObject, type FieldValidation, fillDefaults } from "./decode.ts";

/** One write and who makes it. */
export interface WriteRequest {
  readonly definition: ResourceDefinition;
  readonly namespace: string;
  /** "" for create. */
  readonly name: string;
  /** "" or "status" (others have their own code). */
  readonly subresource: string;
  readonly user: User;
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
  readonly dryRun: boolean;
  /** Texts for Warning headers are added here. */
  readonly warnings: string[];
  readonly signal: AbortSignal;
}

/** How often a patch or a blind update is tried again when another write came between. */
const conflictRetries = 5;

/** @throws StatusError */
export async function createObject(
  state: ServerState,
  request: WriteRequest,
  body: unknown,
): Promise<KubeObject> {
  const { definition, fieldValidation, warnings } = request;
  const decoded = decodeObject(definition, body, fieldValidation, warnings);
  return insertObject(state, request, decoded, true);
}

/** @param tracked whether managedFields are to be made here (server-side apply made its own) */
export async function insertObject(
  state: ServerState,
  request: WriteRequest,
  decoded: KubeObject,
  tracked: boolean,
): Promise<KubeObject> {
  const { definition, namespace, dryRun, signal } = request;
  const { strategy } = definition;
  checkNewIdentity(request, decoded);
  const { managedFields } = decoded.metadata;
  const {
    uid: _u,
    creationTimestamp: _c,
    deletionTimestamp: _d,
    deletionGracePeriodSeconds: _g,
    generation: _n,
    selfLink: _s,
    ...metadata
  } = decoded.metadata;
  let object: KubeObject = { ...decoded, metadata };
  if (definition.namespaced) object.metadata.namespace = namespace;
  else delete object.metadata.namespace;
  if (managedFields !== undefined) object.metadata.managedFields = managedFields;
  if (strategy.hasStatus && definition.isCustom) delete object.status;
  if (tracked) {
    const writer = {
      manager: request.fieldManager,
      subresource: request.subresource,
      nowMs: state.clock.now(),
    };
    trackUpdate(definition, undefined, object, writer);
  }
  const attributes = attributesOf(request, "CREATE", object, undefined);
  object = await mutate(state, { ...attributes, object });
  const generated = (object.metadata.name ?? "") === "" && (object.metadata.generateName ?? "") !== "";
  for (let attempt = 1; ; attempt++) {
    const next = copyOf(object);
    if (generated) next.metadata.name = generatedName(object.metadata.generateName ?? "");
    next.metadata.uid = randomUUID();
    next.metadata.creationTimestamp = timestamp(state.clock.now());
    if (strategy.countsGeneration) next.metadata.generation = 1;
    strategy.prepareCreate?.(next);
    refuseInvalid(definition, next, [
      ...metadataCauses(definition, next),
      ...schemaCauses(definition, next),
      ...(strategy.validate?.(next) ?? []),
    ]);
    await admit(state, { ...attributes, name: next.metadata.name ?? "", object: next });
    signal.throwIfAborted();
    const key = keyOf(definition, namespace, next.metadata.name ?? "");
    if (dryRun) {
      if (state.storage.get(definition.collection, key) === undefined) return next;
    } else {
      const outcome = state.storage.create(definition.collection, key, storedForm(definition, next));
      if (outcome.kind === "stored") return shown(definition, outcome.stored.object);
    }
    if (!generated || attempt >= 8) throw alreadyExists(definition, next.metadata.name ?? "");
  }
}

function checkNewIdentity(request: WriteRequest, { metadata }: KubeObject): void {
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== "")
    // The API server names no reason here, so that it becomes a 500.
    throw new StatusError({
      code: 500,
      reason: "",
      message: "resourceVersion should not be set on objects to be created",
    });
  checkNamespace(request, metadata.namespace ?? "");
  if (request.name !== "" && (metadata.name ?? "") !== request.name)
    throw nameMismatch(metadata.name ?? "", request.name);
}

function checkNamespace({ definition, namespace }: WriteRequest, given: string): void {
  if (definition.namespaced && given !== "" && given !== namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
}

function nameMismatch(given: string, wanted: string): StatusError {
  return badRequest(`the name of the object (${given}) does not match the name on the URL (${wanted})`);
}

const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** A base cut so that the name fits, and five characters that spell no words. */
function generatedName(base: string): string {
  const suffix = Array.from(randomBytes(5), (byte) => nameAlphabet[byte % nameAlphabet.length]).join("");
  return `${base.slice(0, 63 - 5)}${suffix}`;
}

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

function schemaCauses(definition: ResourceDefinition, object: KubeObject): Cause[] {
  return definition.isCustom ? validate(definition.schema, object) : [];
}

function refuseInvalid(definition: ResourceDefinition, object: KubeObject, causes: readonly Cause[]): void {
  if (causes.length > 0) throw invalid(definition.kind, definition.group, object.metadata.name ?? "", causes);
}

function attributesOf(
  request: WriteRequest,
  operation: "CREATE" | "UPDATE",
  object: KubeObject,
  previous: KubeObject | undefined,
): AdmissionAttributes {
  const { definition, subresource, namespace, user, dryRun, warnings, signal, fieldManager } = request;
  const kind = operation === "CREATE" ? "CreateOptions" : "UpdateOptions";
  const options = {
    kind,
    apiVersion: "meta.k8s.io/v1",
    ...(dryRun ? { dryRun: ["All"] } : {}),
    fieldManager,
  };
  const name = object.metadata.name ?? "";
  return {
    operation,
    definition,
    subresource,
    namespace,
    name,
    object,
    previous,
    user,
    dryRun,
    options,
    warnings,
    signal,
  };
}

async function mutate(state: ServerState, attributes: AdmissionAttributes): Promise<KubeObject> {
  let { object } = attributes;
  for (const step of state.admission) {
    const changed = await step.mutate?.({ ...attributes, object });
    if (changed === undefined) continue;
    fillDefaults(attributes.definition, changed);
    object = changed;
  }
  if (object === undefined) throw badRequest("admission needs an object");
  return object;
}

async function admit(state: ServerState, attributes: AdmissionAttributes): Promise<void> {
  for (const step of state.admission) await step.validate?.(attributes);
}
