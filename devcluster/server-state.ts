import type { Clock } from "#runtime/clock";
import type { AdmissionStep } from "./admission/attributes.ts";
import type { PodLogs } from "./pod-logs.ts";
import type { Registry } from "./registry.ts";
import type { Storage } from "./storage.ts";
import type { WatchCache } from "./watch-cache.ts";

/** What every request works on. */
export interface ServerState {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly watches: WatchCache;
  readonly admission: readonly AdmissionStep[];
  readonly clock: Clock;
  readonly logs: { source: PodLogs | undefined };
}
