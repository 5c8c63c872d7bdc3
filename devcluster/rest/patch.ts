import { invalidValue } from "../field-errors.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { type Applied, applyObject } from "../managed-fields/managed-fields.ts";
import { applyJsonPatch, PatchError } from "../patch/json-patch.ts";
import { applyMergePatch } from "../patch/merge-patch.ts";
import { applyStrategicPatch } from "../patch/strategic-merge.ts";
import { keyOf, type ResourceDefinition, shown } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { badRequest, invalid, StatusError, unsupportedMediaType } from "../status-error.ts";
import { insertObject } from "./create.ts";
import { decodeObject, decodeWithoutDefaults, type FieldValidation, fillDefaults } from "./decode.ts";
import { replaceObject } from "./update.ts";
import type { WriteRequest } from "./write.ts";

export type PatchKind = "json" | "merge" | "strategic" | "apply";

const kinds: Readonly<Record<string, PatchKind>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
};

/** @throws StatusError 415 */
export function patchKindOf(definition: ResourceDefinition, contentType: string): PatchKind {
  const kind = kinds[contentType];
  if (kind !== undefined && !(kind === "strategic" && definition.isCustom)) return kind;
  if (definition.isCustom) {
    const accepted = Object.keys(kinds).filter((type) => kinds[type] !== "strategic");
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
    );
  }
  throw new StatusError({
    code: 415,
    reason: "UnsupportedMediaType",
    message: "415: Unsupported Media Type",
    details: {},
  });
}

/** @throws StatusError 400 and 422 for a patch that cannot be applied, and what an update may throw */
export async function patchObject(
  state: ServerState,
  request: WriteRequest,
  kind: Exclude<PatchKind, "apply">,
  patch: unknown,
): Promise<KubeObject> {
  const { definition, name, fieldValidation } = request;
  return replaceObject(
    state,
    request,
    (current) => {
      const warnings: string[] = [];
      const patched = patchedValue(definition, kind, current, patch);
      const next = decodePatched(definition, patched, fieldValidation, warnings);
      for (const warning of warnings) if (!request.warnings.includes(warning)) request.warnings.push(warning);
      if ((next.metadata.name ?? "") !== name)
        throw badRequest(
          `the name of the object (${next.metadata.name ?? ""}) does not match the name on the URL (${name})`,
        );
      return next;
    },
    true,
  );
}

/** What is wrong with the result of a patch is a fault of the patch: 422. */
function decodePatched(
  definition: ResourceDefinition,
  patched: unknown,
  fieldValidation: FieldValidation,
  warnings: string[],
): KubeObject {
  try {
    return decodeObject(definition, patched, fieldValidation, warnings);
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== "BadRequest") throw error;
    const strict = /strict decoding error: .*/s.exec(error.message)?.[0];
    const json = /json: cannot unmarshal .*/s.exec(error.message)?.[0];
    throw invalid("", "", "", [
      invalidValue("patch", JSON.stringify(patched), strict ?? json ?? error.message),
    ]);
  }
}

function patchedValue(
  definition: ResourceDefinition,
  kind: Exclude<PatchKind, "apply">,
  current: KubeObject,
  patch: unknown,
): unknown {
  try {
    if (kind === "json") {
      if (!Array.isArray(patch))
        throw badRequest("error decoding patch: a JSON patch is a list of operations");
      return applyJsonPatch(current, patch);
    }
    if (!isObject(patch)) throw badRequest("the patch is no JSON object");
    return kind === "merge"
      ? applyMergePatch(current, patch)
      : applyStrategicPatch(definition.schema, current, patch);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    // The API server does not say which operation of a JSON patch did not fit.
    const message = "the server rejected our request due to an error in our request";
    throw new StatusError({ code: 422, reason: "Invalid", message, details: {} });
  }
}

/**
 * Server-side apply: creates or merges.
 *
 * @returns the object, and whether it is new
 */
export async function applyPatch(
  state: ServerState,
  request: WriteRequest,
  body: unknown,
  force: boolean,
): Promise<{ readonly object: KubeObject; readonly created: boolean }> {
  const applied = appliedObject(request, body);
  const { definition, name, namespace } = request;
  const writer = {
    manager: request.fieldManager,
    subresource: request.subresource,
    nowMs: state.clock.now(),
  };
  const apply: Applied = { object: applied, writer, force };
  const exists = state.storage.get(definition.collection, keyOf(definition, namespace, name)) !== undefined;
  if (!exists && request.subresource === "") {
    const merged = decodeObject(definition, applyObject(definition, undefined, apply), "Ignore", []);
    if (!isApplyRace(applied))
      return { object: await insertObject(state, request, merged, false), created: true };
  }
  const object = await replaceObject(
    state,
    request,
    (current) => {
      const next = applyObject(definition, shown(definition, current), apply);
      fillDefaults(definition, next);
      return next;
    },
    false,
  );
  return { object, created: false };
}

/** An apply that names a uid or resourceVersion means an object that exists. */
function isApplyRace({ metadata }: KubeObject): boolean {
  return (metadata.uid ?? "") !== "" || (metadata.resourceVersion ?? "") !== "";
}

function appliedObject(
  { definition, name, fieldValidation, warnings }: WriteRequest,
  body: unknown,
): KubeObject {
  if (isObject(body) && isObject(body.metadata) && body.metadata.managedFields !== undefined)
    throw badRequest("metadata.managedFields must be nil");
  const given: JsonObject = isObject(body) ? body : {};
  const metadata = isObject(given.metadata) ? given.metadata : {};
  const named = { ...given, metadata: { name, ...metadata } };
  return decodeWithoutDefaults(definition, named, fieldValidation, warnings);
}
