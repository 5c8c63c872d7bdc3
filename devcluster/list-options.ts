import { parseSelector, type Requirement, selectorMatches } from "#api/label-selector";
import { forbiddenField, notSupported } from "./field-errors.ts";
import { type FieldSelector, fieldsMatch, parseFieldSelector } from "./field-selector.ts";
import { stringMapOf } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import type { ResourceDefinition } from "./resource.ts";
import { badRequest, type Cause, invalid, StatusError } from "./status-error.ts";

export type ResourceVersionMatch = "" | "Exact" | "NotOlderThan";

/** Parameters of list, watch and deletecollection. */
export interface ListOptions {
  readonly labelSelector: readonly Requirement[];
  readonly fieldSelector: FieldSelector;
  /** 0: no limit. */
  readonly limit: number;
  readonly continueToken: string;
  /** undefined: not given. */
  readonly resourceVersion: number | undefined;
  readonly resourceVersionMatch: ResourceVersionMatch;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
  readonly timeoutSeconds: number | undefined;
}

/** @throws StatusError 400 or 422, worded as the API server does */
export function parseListOptions(
  query: URLSearchParams,
  definition: ResourceDefinition,
  isWatch: boolean,
): ListOptions {
  const text = (name: string): string => query.get(name) ?? "";
  const match = text("resourceVersionMatch");
  const sendInitialEvents = query.has("sendInitialEvents") ? isTrue(text("sendInitialEvents")) : undefined;
  const causes = isWatch
    ? watchCauses(match, sendInitialEvents, isTrue(text("allowWatchBookmarks")))
    : listCauses(query, match, sendInitialEvents);
  if (causes.length > 0) throw invalid("ListOptions", "meta.k8s.io", "", causes);
  const limit = parseCount(text("limit")) ?? 0;
  return {
    labelSelector: parseLabels(text("labelSelector")),
    fieldSelector: parseFieldSelector(text("fieldSelector"), definition),
    limit,
    continueToken: isWatch ? "" : text("continue"),
    resourceVersion: parseResourceVersion(text("resourceVersion"), isWatch),
    resourceVersionMatch: match === "Exact" || match === "NotOlderThan" ? match : "",
    allowWatchBookmarks: isTrue(text("allowWatchBookmarks")),
    sendInitialEvents,
    timeoutSeconds: parseCount(text("timeoutSeconds")),
  };
}

export function matchesOptions(
  options: ListOptions,
  definition: ResourceDefinition,
  object: KubeObject,
): boolean {
  return (
    selectorMatches(options.labelSelector, stringMapOf(object.metadata.labels)) &&
    fieldsMatch(options.fieldSelector, definition, object)
  );
}

/** As Go's strconv.ParseBool, and with an empty value meaning true, as the API server's converter has it. */
export function isTrue(text: string): boolean {
  return /^(?:1|t|T|TRUE|true|True)$/.test(text);
}

function parseLabels(text: string): Requirement[] {
  try {
    return parseSelector(text);
  } catch (error) {
    throw badRequest(
      `unable to parse requirement: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function parseCount(text: string): number | undefined {
  if (text === "") return undefined;
  if (/^-?\d{1,18}$/.test(text)) return Number(text);
  const why = `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw badRequest(why);
}

function parseResourceVersion(text: string, isWatch: boolean): number | undefined {
  if (text === "") return undefined;
  if (/^\d{1,19}$/.test(text)) return Number(text);
  const why = `Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
  const message = `resourceVersion: ${why}`;
  // The API server lets a watch fail with an error that has no reason, hence 500.
  if (isWatch) throw new StatusError({ code: 500, reason: "", message });
  throw badRequest(`invalid resource version: ${message}`);
}

function listCauses(query: URLSearchParams, match: string, sendInitialEvents: boolean | undefined): Cause[] {
  const causes: Cause[] = [];
  const forbid = (detail: string): number => causes.push(forbiddenField("resourceVersionMatch", detail));
  const resourceVersion = query.get("resourceVersion") ?? "";
  if (match !== "") {
    if (resourceVersion === "")
      forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (query.get("continue")) forbid("resourceVersionMatch is forbidden when continue is provided");
    if (match !== "Exact" && match !== "NotOlderThan")
      causes.push(notSupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]));
    if (match === "Exact" && resourceVersion === "0")
      forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (sendInitialEvents !== undefined)
    causes.push(forbiddenField("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  return causes;
}

function watchCauses(
  match: string,
  sendInitialEvents: boolean | undefined,
  allowBookmarks: boolean,
): Cause[] {
  const causes: Cause[] = [];
  if (sendInitialEvents !== undefined && match !== "NotOlderThan") {
    const detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    causes.push(forbiddenField("resourceVersionMatch", detail));
  }
  if (sendInitialEvents === undefined && match !== "") {
    const detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
    causes.push(forbiddenField("resourceVersionMatch", detail));
  }
  if (sendInitialEvents === true && !allowBookmarks && causes.length === 0) {
    // The end of the initial events is a bookmark, so a client that takes none could never see it.
    causes.push(
      forbiddenField("sendInitialEvents", "sendInitialEvents requires setting allowWatchBookmarks to true"),
    );
  }
  return causes;
}
