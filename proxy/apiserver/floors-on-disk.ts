import { isDecimal } from "./resource-version.ts";

/** The floor table as it is kept on disk beside the snapshot. */
export interface FloorsOnDisk {
  readonly floors: readonly FloorOnDisk[];
  /**
   * Resources that a view has limited, as "group/resource"; absent for none. Clients outlive the proxy, so a list of
   * such a view may be gone on from when the limit is long gone.
   */
  readonly onceLimited?: readonly string[];
  /** The only view under which this pod was ever shown something; absent when there were others, or none yet. */
  readonly firstView?: string;
}

export interface FloorOnDisk {
  readonly group: string;
  readonly resource: string;
  /** Absent: cluster-wide. */
  readonly namespace?: string;
  /** The shard's selector that the floor belongs to: under another one it does not count. */
  readonly selector: string;
  readonly resourceVersion: string;
  /** Absent: something from before may have this very resourceVersion. */
  readonly isClean?: true;
}

/**
 * What of a JSON value can be used. The rest is left out: an unknown floor is read anew, which costs a relist and
 * never shows anything wrong.
 *
 * @param limit of the number of resources that were once limited
 */
export function readFloorsOnDisk(value: unknown, limit: number): FloorsOnDisk {
  if (typeof value !== "object" || value === null) return { floors: [] };
  const { floors, onceLimited, firstView } = value as Record<string, unknown>;
  return {
    floors: Array.isArray(floors) ? floors.filter(isFloorOnDisk) : [],
    onceLimited: Array.isArray(onceLimited)
      ? onceLimited.filter((key) => typeof key === "string").slice(0, limit)
      : [],
    ...(typeof firstView === "string" ? { firstView } : {}),
  };
}

function isFloorOnDisk(value: unknown): value is FloorOnDisk {
  if (typeof value !== "object" || value === null) return false;
  const { group, resource, namespace, selector, resourceVersion, isClean } = value as Record<string, unknown>;
  return (
    typeof group === "string" &&
    typeof resource === "string" &&
    (namespace === undefined || typeof namespace === "string") &&
    typeof selector === "string" &&
    typeof resourceVersion === "string" &&
    isDecimal(resourceVersion) &&
    (isClean === undefined || isClean === true)
  );
}
