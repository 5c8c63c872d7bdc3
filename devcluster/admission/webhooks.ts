import { randomUUID } from "node:crypto";
import {
  arrayOf,
  at,
  isEqual,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  stringOf,
  stringsOf,
} from "../json.ts";
import { isKubeObject, type KubeObject } from "../kube-object.ts";
import { applyJsonPatch } from "../patch/json-patch.ts";
import { kindOf } from "../resource.ts";
import { internalError, StatusError } from "../status-error.ts";
import type { Storage } from "../storage.ts";
import { printUser } from "../user.ts";
import type { AdmissionAttributes, AdmissionStep } from "./attributes.ts";
import { callWebhook, type ServiceResolver } from "./webhook-call.ts";
import { webhookMatches } from "./webhook-match.ts";

interface Webhook {
  /** Of the configuration, for messages. */
  readonly configuration: string;
  readonly name: string;
  readonly source: unknown;
}

const mutatingCollection = "admissionregistration.k8s.io/mutatingwebhookconfigurations";
const validatingCollection = "admissionregistration.k8s.io/validatingwebhookconfigurations";

/**
 * Calls the webhooks of the stored configurations: mutating ones in the order of their configurations' names, and
 * those with `reinvocationPolicy: IfNeeded` once more when another changed the object after them; validating
 * ones all at once. Webhook configurations themselves are never sent to webhooks.
 */
export function webhookAdmission(storage: Storage, resolve: ServiceResolver): AdmissionStep {
  const webhooksOf = (collection: string): Webhook[] =>
    storage.list(collection, "").flatMap(({ object }) =>
      arrayOf(object.webhooks).map((source) => ({
        configuration: object.metadata.name ?? "",
        name: stringOf(at(source, "name")),
        source,
      })),
    );
  const isExempt = ({ definition }: AdmissionAttributes): boolean =>
    definition.group === "admissionregistration.k8s.io" || !definition.verbs.includes("update");
  return {
    mutate: async (attributes) => {
      if (isExempt(attributes)) return undefined;
      return mutate(webhooksOf(mutatingCollection), attributes, storage, resolve);
    },
    validate: async (attributes) => {
      if (isExempt(attributes)) return;
      const calls = webhooksOf(validatingCollection)
        .filter(({ source }) => webhookMatches(source, attributes, storage))
        .map((webhook) => call(webhook, attributes, resolve));
      // Every answer counts, so that warnings of all are told; the first refusal is the answer.
      const results = await Promise.allSettled(calls);
      for (const result of results) if (result.status === "rejected") throw result.reason;
    },
  };
}

async function mutate(
  webhooks: readonly Webhook[],
  attributes: AdmissionAttributes,
  storage: Storage,
  resolve: ServiceResolver,
): Promise<KubeObject | undefined> {
  let object = attributes.object;
  const called = new Map<Webhook, KubeObject | undefined>();
  const invoke = async (webhook: Webhook): Promise<void> => {
    const now = { ...attributes, object };
    if (!webhookMatches(webhook.source, now, storage)) return;
    const patch = await call(webhook, now, resolve);
    if (patch !== undefined && object !== undefined) object = patchedBy(webhook, object, patch);
    called.set(webhook, object);
  };
  for (const webhook of webhooks) await invoke(webhook);
  for (const webhook of webhooks) {
    if (at(webhook.source, "reinvocationPolicy") !== "IfNeeded") continue;
    if (called.has(webhook) && !isEqual(called.get(webhook), object)) await invoke(webhook);
  }
  return object === attributes.object ? undefined : object;
}

function patchedBy({ name }: Webhook, object: KubeObject, patch: unknown): KubeObject {
  let patched: unknown;
  try {
    patched = applyJsonPatch(object, patch);
  } catch (error) {
    throw internalError(`admission webhook ${JSON.stringify(name)} sent a bad patch: ${messageOf(error)}`);
  }
  if (!isKubeObject(patched) || patched.kind !== object.kind || patched.apiVersion !== object.apiVersion)
    throw internalError(`admission webhook ${JSON.stringify(name)} changed the kind of the object`);
  return patched;
}

/**
 * @returns the JSON patch of the answer, if any
 * @throws StatusError when the webhook refuses, or fails under `failurePolicy: Fail`
 */
async function call(
  webhook: Webhook,
  attributes: AdmissionAttributes,
  resolve: ServiceResolver,
): Promise<unknown> {
  const { source, name } = webhook;
  const sideEffects = at(source, "sideEffects");
  if (attributes.dryRun && sideEffects !== "None" && sideEffects !== "NoneOnDryRun") {
    const message = `admission webhook ${JSON.stringify(name)} does not support dry run`;
    throw new StatusError({ code: 400, reason: "BadRequest", message });
  }
  const timeoutMs = (numberOf(at(source, "timeoutSeconds")) || 10) * 1000;
  const signal = AbortSignal.any([attributes.signal, AbortSignal.timeout(timeoutMs)]);
  let response: JsonObject;
  try {
    response = await callWebhook(at(source, "clientConfig"), reviewOf(attributes), resolve, signal);
  } catch (error) {
    attributes.signal.throwIfAborted();
    if (at(source, "failurePolicy") === "Ignore") return undefined;
    const why = signal.aborted ? "context deadline exceeded" : messageOf(error);
    throw internalError(`failed calling webhook ${JSON.stringify(name)}: failed to call webhook: ${why}`);
  }
  attributes.warnings.push(...stringsOf(response.warnings));
  if (response.allowed !== true) throw denied(name, objectOf(response.status));
  return patchOf(response, name);
}

function patchOf(response: JsonObject, name: string): unknown {
  if (response.patch === undefined || response.patch === null) return undefined;
  if (response.patchType !== "JSONPatch")
    throw internalError(`admission webhook ${JSON.stringify(name)} sent a patch that is no JSONPatch`);
  try {
    return JSON.parse(Buffer.from(stringOf(response.patch), "base64").toString());
  } catch (error) {
    throw internalError(`admission webhook ${JSON.stringify(name)} sent a bad patch: ${messageOf(error)}`);
  }
}

function denied(name: string, status: JsonObject): StatusError {
  const prefix = `admission webhook ${JSON.stringify(name)} denied the request`;
  const detail = stringOf(status.message) || stringOf(status.reason);
  const code = numberOf(status.code);
  return new StatusError({
    code: code >= 400 && code < 600 ? code : 400,
    reason: stringOf(status.reason),
    message: detail === "" ? `${prefix} without explanation` : `${prefix}: ${detail}`,
    ...(isObject(status.details) ? { details: status.details } : {}),
  });
}

function reviewOf(attributes: AdmissionAttributes): JsonObject {
  const { definition, subresource, namespace, name, operation, user, object, previous, dryRun, options } =
    attributes;
  const { group, version, resource } = definition;
  const gvr = { group, version, resource };
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: randomUUID(),
      kind: kindOf(definition),
      resource: gvr,
      ...(subresource === "" ? {} : { subResource: subresource }),
      requestKind: kindOf(definition),
      requestResource: gvr,
      ...(subresource === "" ? {} : { requestSubResource: subresource }),
      ...(name === "" ? {} : { name }),
      // A namespace is inside itself, as far as webhooks are told.
      ...(namespace === "" && definition.collection !== "namespaces" ? {} : { namespace: namespace || name }),
      operation,
      userInfo: printUser(user),
      object: object ?? null,
      oldObject: previous ?? null,
      dryRun,
      options,
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
