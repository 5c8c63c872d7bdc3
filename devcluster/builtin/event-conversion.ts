import { isObject, type JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Conversion } from "../resource.ts";

/** Core events and events.k8s.io events are one storage with two names for most fields. */
const names: readonly (readonly [core: string, events: string])[] = [
  ["involvedObject", "regarding"],
  ["message", "note"],
  ["source", "deprecatedSource"],
  ["firstTimestamp", "deprecatedFirstTimestamp"],
  ["lastTimestamp", "deprecatedLastTimestamp"],
  ["count", "deprecatedCount"],
  ["reportingComponent", "reportingController"],
];

function renamed(object: KubeObject, from: 0 | 1, apiVersion: string): KubeObject {
  const result: JsonObject = {};
  for (const [field, value] of Object.entries(object)) {
    const pair = names.find((each) => each[from] === field);
    result[pair?.[1 - from] ?? field] = value;
  }
  const metadata = isObject(object.metadata) ? object.metadata : {};
  return { ...result, apiVersion, kind: "Event", metadata };
}

/** Stored as core/v1. */
export const eventsConversion: Conversion = {
  fromStored: (object) => renamed(object, 0, "events.k8s.io/v1"),
  toStored: (object) => renamed(object, 1, "v1"),
};
