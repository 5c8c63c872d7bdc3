import type { AdmissionAttributes } from "../admission/attributes.ts";
import type { KubeObject } from "../kube-object.ts";
import type { ResourceDefinition } from "../resource.ts";
import { validate } from "../schema/validate.ts";
import type { ServerState } from "../server-state.ts";
import { badRequest, type Cause, invalid, type StatusError } from "../status-error.ts";
import type { User } from "../user.ts";
import { type FieldValidation, fillDefaults } from "./decode.ts";

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

/** An object may name only the namespace of its request. @throws StatusError 400 */
export function checkNamespace({ definition, namespace }: WriteRequest, given: string): void {
  if (definition.namespaced && given !== "" && given !== namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
}

export function nameMismatch(given: string, wanted: string): StatusError {
  return badRequest(`the name of the object (${given}) does not match the name on the URL (${wanted})`);
}

/** Structural validation is for custom resources; built-in kinds have rules of their own. */
export function schemaCauses(definition: ResourceDefinition, object: KubeObject): Cause[] {
  return definition.isCustom ? validate(definition.schema, object) : [];
}

/** @throws StatusError 422 when there are findings */
export function refuseInvalid(
  definition: ResourceDefinition,
  object: KubeObject,
  causes: readonly Cause[],
): void {
  if (causes.length > 0) throw invalid(definition.kind, definition.group, object.metadata.name ?? "", causes);
}

export function attributesOf(
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

/** All mutating steps in order; defaults are filled in after each that changed something. @throws StatusError */
export async function mutate(state: ServerState, attributes: AdmissionAttributes): Promise<KubeObject> {
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

/** All validating steps. @throws StatusError */
export async function admit(state: ServerState, attributes: AdmissionAttributes): Promise<void> {
  for (const step of state.admission) await step.validate?.(attributes);
}
