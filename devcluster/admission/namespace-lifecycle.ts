import { at } from "../json.ts";
import { forbidden, notFound } from "../status-error.ts";
import type { Storage } from "../storage.ts";
import type { AdmissionAttributes, AdmissionStep } from "./attributes.ts";

/** Refuses new objects in a namespace that does not exist (404) or is going away (403). */
export function namespaceLifecycle(storage: Storage): AdmissionStep {
  return {
    mutate: async (attributes) => {
      refuse(storage, attributes);
      return undefined;
    },
    // Again at the end: a webhook may have taken so long that the namespace is gone.
    validate: async (attributes) => refuse(storage, attributes),
  };
}

function refuse(storage: Storage, { operation, definition, namespace, name }: AdmissionAttributes): void {
  if (operation !== "CREATE" || !definition.namespaced) return;
  const stored = storage.get("namespaces", namespace);
  if (stored === undefined) throw notFound({ group: "", resource: "namespaces" }, namespace);
  if (at(stored.object.status, "phase") !== "Terminating") return;
  const message = `namespace ${namespace} is being terminated`;
  throw forbidden(
    definition,
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
    [{ reason: "NamespaceTerminating", message, field: "metadata.namespace" }],
  );
}
