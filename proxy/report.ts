import type { DataPlaneCounters } from "./apiserver/counters.ts";

/** What the data plane tells the manager: the numbers of the message ctrlmesh.v1.Report. */
export function reportOf(counters: DataPlaneCounters, requestsOnOlderView: number) {
  let filtered = 0;
  let refused = 0;
  for (const outcomes of Object.values(counters.requests)) {
    filtered += outcomes.filtered;
    refused += outcomes.refused;
  }
  return {
    requestsOnOlderView: BigInt(requestsOnOlderView),
    requestsFiltered: BigInt(filtered),
    requestsFenced: BigInt(counters.refusals.get("WRITE_FENCED") ?? 0),
    requestsRefused: BigInt(refused),
  };
}
