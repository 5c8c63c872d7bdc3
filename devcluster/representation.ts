import type { JsonObject } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import { apiVersionOf, type ResourceDefinition } from "./resource.ts";
import { StatusError } from "./status-error.ts";
import { type IncludeObject, tableOf, tableRow } from "./table.ts";

/** How a client wants objects: whole, only metadata, or as rows. */
export type Representation =
  | { readonly kind: "object" }
  | { readonly kind: "metadata" }
  | { readonly kind: "table"; readonly includeObject: IncludeObject };

interface MediaRange {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

/** The ranges of an Accept header, best first. */
export function parseAccept(accept: string): MediaRange[] {
  const ranges = accept.split(",").map((part): MediaRange => {
    const [type = "", ...rest] = part.trim().split(";");
    const parameters = new Map(
      rest.map((parameter) => {
        const [name = "", value = ""] = parameter.trim().split("=");
        return [name.toLowerCase(), value];
      }),
    );
    const quality = Number(parameters.get("q") ?? "1");
    return { type: type.trim().toLowerCase(), parameters, quality: Number.isNaN(quality) ? 0 : quality };
  });
  return ranges.sort((left, right) => right.quality - left.quality);
}

const jsonTypes = new Set(["application/json", "application/*", "*/*"]);

export function acceptsJson({ type, quality }: MediaRange): boolean {
  return jsonTypes.has(type) && quality > 0;
}

/** @throws StatusError 406 when JSON in a known form is not acceptable */
export function negotiate(accept: string | undefined, query: URLSearchParams): Representation {
  if (accept === undefined || accept.trim() === "") return { kind: "object" };
  for (const range of parseAccept(accept)) {
    if (!acceptsJson(range)) continue;
    const as = range.parameters.get("as");
    if (as === undefined) return { kind: "object" };
    if (range.parameters.get("g") !== "meta.k8s.io" || range.parameters.get("v") !== "v1") continue;
    if (as === "Table") return { kind: "table", includeObject: includeObjectOf(query) };
    if (as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") return { kind: "metadata" };
  }
  throw notAcceptable();
}

export function notAcceptable(): StatusError {
  const message =
    "406: Not Acceptable\n\nAvailable representations: application/json, application/json;stream=watch";
  return new StatusError({ code: 406, reason: "NotAcceptable", message, details: {} });
}

function includeObjectOf(query: URLSearchParams): IncludeObject {
  const text = query.get("includeObject");
  return text === "None" || text === "Object" ? text : "Metadata";
}

/** One object in the asked form. */
export function represent(
  representation: Representation,
  definition: ResourceDefinition,
  object: KubeObject,
  nowMs: number,
): JsonObject {
  if (representation.kind === "object") return object;
  if (representation.kind === "metadata") return partial(object);
  return {
    ...tableOf(definition),
    metadata: { resourceVersion: object.metadata.resourceVersion ?? "" },
    rows: [tableRow(definition, object, representation.includeObject, nowMs)],
  };
}

/** A list in the asked form; `metadata` is its ListMeta. */
export function representList(
  representation: Representation,
  definition: ResourceDefinition,
  list: { readonly metadata: JsonObject; readonly objects: readonly KubeObject[] },
  nowMs: number,
): JsonObject {
  const { metadata, objects } = list;
  if (representation.kind === "table") {
    const { includeObject } = representation;
    const rows = objects.map((object) => tableRow(definition, object, includeObject, nowMs));
    return { ...tableOf(definition), metadata, rows };
  }
  if (representation.kind === "metadata") {
    const items = objects.map(partial);
    return { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1", metadata, items };
  }
  // Elements of typed lists carry no kind of their own; those of custom resources do.
  const items = definition.isCustom ? objects : objects.map(({ apiVersion: _a, kind: _k, ...rest }) => rest);
  return { kind: definition.listKind, apiVersion: apiVersionOf(definition), metadata, items };
}

export function partial({ metadata }: KubeObject): JsonObject {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
}
