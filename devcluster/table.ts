import type { JsonObject } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import type { ResourceDefinition } from "./resource.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

/** A meta.k8s.io/v1 Table without rows. */
export function tableOf({ columns }: ResourceDefinition): JsonObject {
  const columnDefinitions = columns.map(({ name, type, format, priority, description }) => ({
    name,
    type,
    format,
    description,
    priority,
  }));
  return { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata: {}, columnDefinitions, rows: [] };
}

export function tableRow(
  { columns }: ResourceDefinition,
  object: KubeObject,
  include: IncludeObject,
  nowMs: number,
): JsonObject {
  const cells = columns.map((column) => column.cell(object, nowMs));
  return { cells, object: rowObject(object, include) };
}

function rowObject(object: KubeObject, include: IncludeObject): JsonObject | null {
  if (include === "None") return null;
  if (include === "Object") return object;
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata };
}

/** How long ago, as kubectl prints it: two units below ten of the larger one, else one. */
export function age(timestamp: string | undefined, nowMs: number): string {
  const then = timestamp === undefined ? Number.NaN : Date.parse(timestamp);
  if (Number.isNaN(then)) return "<unknown>";
  const seconds = Math.max(0, Math.floor((nowMs - then) / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return two(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? two(years, "y", days % 365, "d") : `${years}y`;
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
