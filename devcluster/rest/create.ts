import { randomBytes, randomUUID } from "node:crypto";
import { copyOf } from "../json.ts";
import { type KubeObject, timestamp } from "../kube-object.ts";
import { trackUpdate } from "../managed-fields/managed-fields.ts";
import { metadataCauses } from "../metadata-rules.ts";
import { keyOf, shown, storedForm } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { alreadyExists, StatusError } from "../status-error.ts";
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

const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** A base cut so that the name fits, and five characters that spell no words. */
function generatedName(base: string): string {
  const suffix = Array.from(randomBytes(5), (byte) => nameAlphabet[byte % nameAlphabet.length]).join("");
  return `${base.slice(0, 63 - 5)}${suffix}`;
}
