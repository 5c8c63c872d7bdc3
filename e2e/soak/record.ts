/** What one look at the proxy's process found, after two full collections. */
export interface ProcessFigures {
  /** Live heap: what is reachable. */
  readonly heapBytes: number;
  /** Memory outside the heap that objects of the heap hold, array buffers included. */
  readonly externalBytes: number;
  readonly arrayBufferBytes: number;
  /** Before the collection, which would make it smaller. */
  readonly rssBytes: number;
  /** Live objects, whether the event loop still knows them or not. */
  readonly socketObjects: number;
  readonly timerObjects: number;
  /** Sockets among the process' descriptors, and all descriptors. */
  readonly sockets: number;
  readonly descriptors: number;
  /** What keeps the event loop alive, by type. */
  readonly resources: Readonly<Record<string, number>>;
}

export interface Sample extends ProcessFigures {
  readonly atSeconds: number;
  /** Taken while no client was connected. */
  readonly isAtRest: boolean;
}

/** Something that was done to the proxy. */
export interface Mark {
  readonly atSeconds: number;
  readonly what: string;
}

/** What the load counted and its judge saw. */
export interface LoadReport {
  /** Answers by operation, then by status; "cut" where the client ended it, "outage" where the API server was away. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly requests: number;
  readonly requestsByProtocol: Readonly<Record<string, number>>;
  readonly watchesOpened: number;
  readonly watchesOpen: number;
  readonly watchEvents: number;
  readonly bookmarks: number;
  readonly watchesExpired: number;
  /** Requests that met a kept connection in the moment of its close, and were sent again. */
  readonly retries: number;
  readonly violations: number;
  /** The first ones in words. */
  readonly firstViolations: readonly string[];
}

/** One soak, as it is kept in a file. */
export interface SoakRecord {
  readonly startedAt: string;
  readonly commit: string;
  readonly node: string;
  readonly command: string;
  readonly seed: number;
  readonly minutes: number;
  readonly snapshots: number;
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly load: LoadReport;
  /** What broke the soak off; absent when nothing did. */
  readonly failure?: string | undefined;
}
