import type { DataPlaneCounters } from "./apiserver/counters.ts";

interface ReportSources {
  readonly counters: DataPlaneCounters;
  readonly requestsOnOlderView: number;
  /** Limited resources listed since the snapshot in force. */
  readonly relisted: readonly { readonly group: string; readonly resource: string }[];
}

/** What the data plane tells the manager: the message ctrlmesh.v1.Report without the snapshot in force. */
export function reportOf({ counters, requestsOnOlderView, relisted }: ReportSources) {
  let filtered = 0;
  let refused = 0;
  for (const outcomes of Object.values(counters.requests)) {
    filtered += outcomes.filtered;
    refused += outcomes.refused;
  }
  return {
    requestsOnOlderView: BigInt(requestsOnOlderView),
    relisted: [...relisted],
    requestsFiltered: BigInt(filtered),
    requestsFenced: BigInt(counters.refusals.get("WRITE_FENCED") ?? 0),
    requestsRefused: BigInt(refused),
  };
}
