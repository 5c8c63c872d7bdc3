import { createHash } from "node:crypto";
import { builtInSchemas } from "./builtin/catalog.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { Registry } from "./registry.ts";
import { apiVersionOf, type ResourceDefinition } from "./resource.ts";

/**
 * OpenAPI as far as kubectl reads it: schemas (explain, apply) and which parameters a write takes
 * (`fieldValidation`, so that kubectl leaves validation to the server). Descriptions of built-in kinds are left out.
 */

const metadataName = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });

/** `/openapi/v3`: the documents by group version, each with a hash that changes with its content. */
export function openApiIndex(registry: Registry): JsonObject {
  const paths: JsonObject = {};
  for (const path of new Set(registry.all().map(pathOf))) {
    const text = JSON.stringify(openApiDocument(registry, path));
    const hash = createHash("sha256").update(text).digest("hex").toUpperCase();
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
  }
  return { paths };
}

/** `/openapi/v3/<path>`; undefined when the group version is not served. */
export function openApiDocument(registry: Registry, path: string): JsonObject | undefined {
  const definitions = registry.all().filter((definition) => pathOf(definition) === path);
  if (definitions.length === 0) return undefined;
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "1.36" },
    paths: Object.assign({}, ...definitions.map((definition) => operations(definition))),
    components: { schemas: v3Schemas(definitions) },
  };
}

/** `/openapi/v2`: the same in one document. */
export function openApiV2(registry: Registry): JsonObject {
  const schemas = v3Schemas(registry.all());
  const text = JSON.stringify(schemas).replaceAll("#/components/schemas/", "#/definitions/");
  const definitions: unknown = JSON.parse(text);
  return { swagger: "2.0", info: { title: "Kubernetes", version: "1.36" }, paths: {}, definitions };
}

function pathOf(definition: ResourceDefinition): string {
  const apiVersion = apiVersionOf(definition);
  return definition.group === "" ? `api/${apiVersion}` : `apis/${apiVersion}`;
}

function operations(definition: ResourceDefinition): JsonObject {
  const base = `/${pathOf(definition)}`;
  const collection = definition.namespaced
    ? `${base}/namespaces/{namespace}/${definition.resource}`
    : `${base}/${definition.resource}`;
  const { group, version, kind, verbs } = definition;
  const operation = (action: string, parameters: readonly string[]): JsonObject => ({
    operationId: `${action}${group}${version}${kind}`,
    parameters: parameters.map((name) => ({
      name,
      in: "query",
      schema: { type: "string", uniqueItems: true },
    })),
    responses: {
      "200": {
        description: "OK",
        content: { "application/json": { schema: reference(definition.schemaName) } },
      },
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": { group, version, kind },
  });
  const write = ["dryRun", "fieldManager", "fieldValidation"];
  const has = (verb: string, part: JsonObject): JsonObject => (verbs.includes(verb) ? part : {});
  return {
    [collection]: {
      ...has("list", { get: operation("list", ["limit", "continue", "labelSelector", "fieldSelector"]) }),
      ...has("create", { post: operation("post", write) }),
    },
    ...has("get", {
      [`${collection}/{name}`]: {
        get: operation("get", []),
        put: operation("put", write),
        patch: operation("patch", [...write, "force"]),
        delete: operation("delete", ["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
      },
    }),
  };
}

function v3Schemas(definitions: readonly ResourceDefinition[]): JsonObject {
  const schemas: JsonObject = {};
  const add = (name: string): void => {
    const schema = builtInSchemas().get(name);
    if (schema === undefined || Object.hasOwn(schemas, name)) return;
    schemas[name] = referencesOutside(schema.source);
    for (const [, target = ""] of JSON.stringify(schema.source).matchAll(
      /"#\/components\/schemas\/([^"]+)"/g,
    ))
      add(target);
  };
  for (const definition of definitions) {
    if (definition.isCustom) {
      add(metadataName);
      schemas[definition.schemaName] = customSchema(definition);
    } else add(definition.schemaName);
  }
  return schemas;
}

/** A reference with something beside it has to stand in a list of one. */
function referencesOutside(source: unknown): unknown {
  if (Array.isArray(source)) return source.map(referencesOutside);
  if (!isObject(source)) return source;
  const members = Object.entries(source).map(([key, value]) => [key, referencesOutside(value)]);
  const { $ref, ...others } = Object.fromEntries(members);
  // Under `properties` of the schema of schemas, $ref is the name of a member.
  if (typeof $ref !== "string") return $ref === undefined ? others : { ...others, $ref };
  return Object.keys(others).length === 0 ? { $ref } : { ...others, allOf: [{ $ref }] };
}

function customSchema({ schema, group, version, kind }: ResourceDefinition): JsonObject {
  const source = isObject(schema.source) ? schema.source : {};
  const properties = isObject(source.properties) ? source.properties : {};
  return {
    ...source,
    type: "object",
    properties: {
      ...properties,
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { allOf: [reference(metadataName)] },
    },
    "x-kubernetes-group-version-kind": [{ group, version, kind }],
  };
}
