import { CtrlmeshError } from "#api/errors";
import { pairCount, parameterValue } from "./query.ts";

/** What the API server makes of one request line: verb, resource, namespace, name. */
export interface RequestInfo {
  /** False for discovery, /healthz, /version and every other path that names no resource. */
  readonly isResource: boolean;
  /**
   * get, list, watch, create, update, patch, delete, deletecollection, proxy; "" for another method on a
   * resource; the method in lower case when no resource.
   */
  readonly verb: string;
  /** "" when not a resource request. */
  readonly apiPrefix: "api" | "apis" | "";
  /** "" is the core group. */
  readonly apiGroup: string;
  readonly apiVersion: string;
  /** "" for cluster-scoped requests and for those over all namespaces. */
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** Decoded path. */
  readonly path: string;
  /** Raw query without "?"; "" when there is none. */
  readonly query: string;
}

/**
 * Far above what any client sends. Go stops parsing at 10,000 and then goes on as if there were no query at
 * all, so a selector in it would have no effect.
 */
const pairCountLimit = 1_000;

/**
 * Reads a request line as the API server's RequestInfoFactory does (apiserver
 * `pkg/endpoints/request/requestinfo.go`), on the decoded path. What the API server, or a load balancer before
 * it, could read in another way than we do is refused: absolute-form, "//" where it decides, "." and ".."
 * segments, encoded slashes where they decide, control characters, broken encodings.
 *
 * @throws MALFORMED_REQUEST
 */
export function parseRequestInfo(method: string, target: string): RequestInfo {
  const question = target.indexOf("?");
  const rawPath = question < 0 ? target : target.slice(0, question);
  const query = question < 0 ? "" : target.slice(question + 1);
  checkTarget(target, rawPath.length);
  if (query !== "" && pairCount(query) > pairCountLimit) {
    throw malformed(`the query has more than ${pairCountLimit} parameters`);
  }
  const path = rawPath.includes("%") ? decodePath(rawPath) : rawPath;
  if (path.includes("/.")) checkDotSegments(path);
  if (!path.startsWith("/api")) return nonResource(method, path, query);
  // The longest path has nine parts that count: apis, group, version, watch, "namespaces", namespace,
  // resource, name, subresource.
  const segments = path.slice(1, trimmedEnd(path)).split("/", 10);
  const prefix = segments[0];
  if (prefix !== "api" && prefix !== "apis") return nonResource(method, path, query);
  const plainCount = path === rawPath ? segments.length : plainSegmentCount(rawPath);
  return resourceInfo(method, prefix, { segments, plainCount, path, query });
}

interface ApiPath {
  readonly segments: readonly string[];
  /** Number of leading segments that hold no encoded slash. */
  readonly plainCount: number;
  readonly path: string;
  readonly query: string;
}

function resourceInfo(method: string, apiPrefix: "api" | "apis", apiPath: ApiPath): RequestInfo {
  const { segments, path, query } = apiPath;
  const versionIndex = apiPrefix === "api" ? 1 : 2;
  if (segments.length < versionIndex + 2) {
    checkSegments(apiPath, segments.length);
    return nonResource(method, path, query);
  }
  let verb = verbOf(method);
  let at = versionIndex + 1;
  const special = segments[at];
  if (special === "watch" || special === "proxy") {
    if (segments.length < at + 2) throw malformed(`the path names no resource behind "${special}"`);
    verb = special;
    at++;
  }
  let namespace = "";
  if (segments[at] === "namespaces" && segments.length > at + 1) {
    namespace = segments[at + 1] ?? "";
    const third = segments[at + 2];
    // "status" and "finalize" are subresources of the Namespace itself, all else is a resource inside it.
    if (third !== undefined && third !== "status" && third !== "finalize") at += 2;
  }
  checkSegments(apiPath, Math.min(segments.length, at + 3));
  let name = segments[at + 1] ?? "";
  if (name === "" && verb === "get") {
    verb = isTrue(parameterValue(query, "watch")) ? "watch" : "list";
    name = selectedName(query);
  } else if (name === "" && verb === "delete") verb = "deletecollection";
  return {
    isResource: true,
    verb,
    apiPrefix,
    apiGroup: apiPrefix === "api" ? "" : (segments[1] ?? ""),
    apiVersion: segments[versionIndex] ?? "",
    namespace,
    resource: segments[at] ?? "",
    subresource: verb === "proxy" ? "" : (segments[at + 2] ?? ""),
    name,
    path,
    query,
  };
}

function nonResource(method: string, path: string, query: string): RequestInfo {
  return {
    isResource: false,
    verb: method.toLowerCase(),
    apiPrefix: "",
    apiGroup: "",
    apiVersion: "",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
    path,
    query,
  };
}

function verbOf(method: string): string {
  switch (method) {
    case "GET":
    case "HEAD":
      return "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return "delete";
    default:
      return "";
  }
}

/**
 * apimachinery's rule for boolean parameters: absent, "0" and "false" in any case are false, everything else
 * is true.
 *
 * @throws MALFORMED_REQUEST for characters outside ASCII, whose case folding differs between languages
 */
export function isTrue(value: string | undefined): boolean {
  if (value === undefined || value === "0") return false;
  for (let i = 0; i < value.length; i++) {
    if (value.charCodeAt(i) > 0x7e) throw malformed("a boolean parameter holds characters outside ASCII");
  }
  return value.length !== 5 || value.toLowerCase() !== "false";
}

/**
 * The one name that a field selector allows, "" when there is none. Selectors with escapes are not read: no
 * name of an object needs them.
 */
function selectedName(query: string): string {
  const selector = parameterValue(query, "fieldSelector");
  if (selector === undefined || !selector.includes("metadata.name=") || selector.includes("\\")) return "";
  for (const term of selector.split(",")) {
    if (!term.startsWith("metadata.name=")) continue;
    const name = term.slice(term.charAt(14) === "=" ? 15 : 14);
    const isName = name !== "." && name !== ".." && !["=", "/", "%"].some((bad) => name.includes(bad));
    return isName ? name : "";
  }
  return "";
}

function checkTarget(target: string, pathLength: number): void {
  if (target.charCodeAt(0) !== slash) {
    throw malformed("the request target is not a path", "send the path and query only, beginning with one /");
  }
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) {
      throw malformed("the request target holds a space, a control character or one outside ASCII");
    }
    if (code === hash) throw malformed('the request target holds a "#"');
    if (code === backslash && i < pathLength) throw malformed("the path holds a backslash");
  }
  // Go drops such a slash, other parsers take what follows for a host.
  if (target.charCodeAt(1) === slash) throw malformed('the path begins with "//"');
}

const slash = 0x2f;
const hash = 0x23;
const backslash = 0x5c;

function decodePath(rawPath: string): string {
  let path: string;
  try {
    path = decodeURIComponent(rawPath);
  } catch {
    throw malformed("the path holds broken percent-encoding");
  }
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code < 0x20 || code === 0x7f || code === backslash) {
      throw malformed("the path holds an encoded control character or backslash");
    }
  }
  if (path.charCodeAt(1) === slash) throw malformed('the path begins with "//"');
  return path;
}

/** A server or balancer that removes dot segments would see another resource than we do. */
function checkDotSegments(path: string): void {
  for (const segment of path.split("/")) {
    if (segment === "." || segment === "..") throw malformed(`the path holds the segment "${segment}"`);
  }
}

function trimmedEnd(path: string): number {
  let end = path.length;
  while (end > 1 && path.charCodeAt(end - 1) === slash) end--;
  return end;
}

function plainSegmentCount(rawPath: string): number {
  const encoded = rawPath.toLowerCase().indexOf("%2f");
  if (encoded < 0) return Number.POSITIVE_INFINITY;
  return rawPath.slice(1, encoded).split("/").length - 1;
}

/**
 * Holds the segments that decide to one reading. Merging slashes or decoding twice, as some balancers do,
 * would shift their meaning; behind the subresource (`services/x/proxy/a%2Fb`) both are left alone.
 */
function checkSegments({ segments, plainCount }: ApiPath, count: number): void {
  if (plainCount < count) throw malformed("the path holds an encoded slash");
  for (let i = 0; i < count; i++) {
    const segment = segments[i];
    if (segment === "") throw malformed("the path holds an empty segment");
    if (segment?.includes("%")) throw malformed("the path is encoded twice");
  }
}

function malformed(what: string, hint?: string): CtrlmeshError {
  return new CtrlmeshError("MALFORMED_REQUEST", { what, ...(hint === undefined ? {} : { hint }) });
}
