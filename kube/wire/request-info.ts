/** What the API server makes of one request line: verb, resource, namespace, name. */
export interface RequestInfo {
  /** False for discovery, /healthz, /version and every other path that names no resource. */
  readonly isResource: boolean;
  /** get, list, watch, create, update, patch, delete, deletecollection, proxy; else the method in lower case. */
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
