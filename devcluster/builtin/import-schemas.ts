import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Rewrites `schemas.json` from the OpenAPI v3 documents of a real API server (one file per group version, as
 * `kubectl get --raw /openapi/v3/...` prints them). Run by hand when the Kubernetes version is raised:
 *
 *     node devcluster/builtin/import-schemas.ts api_v1.json apps_v1.json ...
 *
 * Kept is what decides about a value (types, required, defaults, list and map kinds, merge keys); descriptions
 * and what nothing served refers to are dropped.
 */
const roots = [
  ...["Namespace", "Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "Endpoints", "Node"],
  ...["PersistentVolumeClaim", "Event", "StatefulSet", "Deployment", "ReplicaSet", "ControllerRevision"],
  ...["Lease", "EndpointSlice", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
  ...["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "CustomResourceDefinition"],
  ...["TokenReview", "TokenRequest", "SelfSubjectReview", "SubjectAccessReview", "LocalSubjectAccessReview"],
  ...["SelfSubjectAccessReview", "SelfSubjectRulesReview", "Scale", "DeleteOptions", "Status", "Eviction"],
];
const kept = new Set([
  ...["type", "format", "required", "default", "enum", "nullable", "$ref"],
  ...["x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"],
  ...["x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key", "x-kubernetes-int-or-string"],
  ...["x-kubernetes-preserve-unknown-fields", "x-kubernetes-group-version-kind"],
]);

type Json = Record<string, unknown>;
const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const recordOf = (value: unknown): Json => (isRecord(value) ? value : {});

function slim(schema: Json): Json {
  const result: Json = {};
  for (const [key, value] of Object.entries(schema)) if (kept.has(key)) result[key] = value;
  // A reference with a default stands in a list of one, since OpenAPI ignores what is beside $ref.
  if (Array.isArray(schema.allOf)) Object.assign(result, slim(recordOf(schema.allOf[0])));
  if (Array.isArray(schema.oneOf)) result["x-kubernetes-int-or-string"] = true;
  if (isRecord(schema.items)) result.items = slim(schema.items);
  if (isRecord(schema.additionalProperties)) result.additionalProperties = slim(schema.additionalProperties);
  if (isRecord(schema.properties)) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, slim(recordOf(property))]),
    );
  }
  return result;
}

const all = new Map<string, Json>();
for (const file of process.argv.slice(2)) {
  const document = recordOf(JSON.parse(readFileSync(file, "utf8")));
  const schemas = recordOf(recordOf(document.components).schemas);
  for (const [name, schema] of Object.entries(schemas)) all.set(name, slim(recordOf(schema)));
}

const selected = new Map<string, Json>();
const visit = (name: string): void => {
  const schema = all.get(name);
  if (schema === undefined || selected.has(name)) return;
  selected.set(name, schema);
  for (const [, target = ""] of JSON.stringify(schema).matchAll(/"#\/components\/schemas\/([^"]+)"/g))
    visit(target);
};
for (const [name, schema] of all) {
  const kinds = schema["x-kubernetes-group-version-kind"];
  const kind = Array.isArray(kinds) ? recordOf(kinds[0]).kind : undefined;
  if (typeof kind === "string" && roots.includes(kind)) visit(name);
}

const lines = [...selected]
  .sort(([left], [right]) => (left < right ? -1 : 1))
  .map(([name, schema]) => `${JSON.stringify(name)}: ${JSON.stringify(schema)}`);
writeFileSync(fileURLToPath(new URL("schemas.json", import.meta.url)), `{\n${lines.join(",\n")}\n}\n`);
