import { parseSelector, type Requirement, selectorMatches } from "#api/label-selector";
import { isTrue } from "#kube/wire/request-info";
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
  const sendInitialEvents = query.has("sendInitialEvents") ? isSet(query, "sendInitialEvents") : undefined;
  const limit = parseCount(query, "limit") ?? 0;
  const timeoutSeconds = parseCount(query, "timeoutSeconds");
  const causes = isWatch
    ? watchCauses(match, sendInitialEvents, text("continue"))
    : listCauses(query, match, sendInitialEvents);
  if (causes.length > 0) throw invalid("ListOptions", "meta.k8s.io", "", causes);
  return {
    labelSelector: parseLabels(text("labelSelector")),
    fieldSelector: parseFieldSelector(text("fieldSelector"), definition),
    limit,
    continueToken: isWatch ? "" : text("continue"),
    resourceVersion: parseResourceVersion(text("resourceVersion"), !isWatch),
    resourceVersionMatch: match === "Exact" || match === "NotOlderThan" ? match : "",
    allowWatchBookmarks: isSet(query, "allowWatchBookmarks"),
    sendInitialEvents,
    timeoutSeconds,
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

/** A boolean parameter. @throws MALFORMED_REQUEST */
export function isSet(query: URLSearchParams, name: string): boolean {
  return isTrue(query.get(name) ?? undefined);
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

function parseCount(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^-?\d{1,18}$/.test(text)) return Number(text);
  const why = `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw badRequest(why);
}

/**
 * @param isList whether a list asks; the API server lets others fail with an error that has no reason, hence 500
 * @throws StatusError 400 or 500
 */
export function parseResourceVersion(text: string, isList: boolean): number | undefined {
  if (text === "") return undefined;
  if (/^\d{1,19}$/.test(text)) return Number(text);
  const why = `Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
  const message = `resourceVersion: ${why}`;
  if (isList) throw badRequest(`invalid resource version: ${message}`);
  throw new StatusError({ code: 500, reason: "", message });
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

function watchCauses(match: string, sendInitialEvents: boolean | undefined, continueToken: string): Cause[] {
  const causes: Cause[] = [];
  const forbid = (detail: string): number => causes.push(forbiddenField("resourceVersionMatch", detail));
  if (sendInitialEvents !== undefined && match !== "NotOlderThan")
    forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  if (sendInitialEvents === undefined && match !== "")
    forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if (match !== "" && match !== "NotOlderThan")
    causes.push(notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
  if (continueToken !== "") forbid("resourceVersionMatch is forbidden when continue is provided");
  return causes;
}
