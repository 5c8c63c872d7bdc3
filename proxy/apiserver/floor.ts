/** Answer of one floor read. */
export type FloorAnswer =
  | { readonly kind: "known"; readonly resourceVersion: string }
  /** 403: this scope may not be read. */
  | { readonly kind: "forbidden" }
  /** 404: the API server does not serve the resource, so no list or watch of it can be open. */
  | { readonly kind: "absent" };

/**
 * Reads the current resourceVersion of a resource by a consistent list; namespace undefined is cluster-wide.
 * Rejects when the API server gave no usable answer.
 */
export type ReadFloor = (
  group: string,
  version: string,
  resource: string,
  namespace: string | undefined,
) => Promise<FloorAnswer>;

/** The table as it is kept on disk beside the snapshot. */
export interface FloorsOnDisk {
  readonly floors: readonly FloorOnDisk[];
}

export interface FloorOnDisk {
  readonly group: string;
  readonly resource: string;
  /** Absent: cluster-wide. */
  readonly namespace?: string;
  readonly resourceVersion: string;
}

/** Floors of all limited resources. */
export interface FloorTable {
  /**
   * Requests of the chosen resources wait until `reset`: from the moment the next snapshot is in force until
   * the lists of the previous view have drained.
   */
  hold(isChanged: ResourcePredicate): void;
  /** Forgets the floors of the chosen resources and ends their hold; the next request reads them anew. */
  reset(isChanged: ResourcePredicate): void;
  toJSON(): FloorsOnDisk;
}

export type ResourcePredicate = (group: string, resource: string) => boolean;
