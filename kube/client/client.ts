import type { KubernetesObject } from "#api/meta";

/**
 * What the manager and the CLI need of the Kubernetes API, over untyped objects: the parsers of `api/` narrow
 * them. Every failed call throws a CtrlmeshError with code API_NOT_FOUND (404), API_CONFLICT (409, also
 * AlreadyExists), API_FORBIDDEN (401, 403), API_EXPIRED (410), API_UNREACHABLE (no answer) or
 * API_REQUEST_FAILED (anything else); 429 and 503 with Retry-After are retried inside until the signal aborts.
 */
export interface KubeClient {
  get(kind: ResourceKind, name: ObjectName, options: CallOptions): Promise<KubernetesObject>;
  /** One page. */
  list(kind: ResourceKind, query: ListQuery, options: CallOptions): Promise<ListPage>;
  create(kind: ResourceKind, object: KubernetesObject, options: WriteOptions): Promise<KubernetesObject>;
  /** PUT: compare-and-swap on metadata.resourceVersion when the object carries one. */
  update(kind: ResourceKind, object: KubernetesObject, options: WriteOptions): Promise<KubernetesObject>;
  patch(kind: ResourceKind, name: ObjectName, patch: Patch, options: WriteOptions): Promise<KubernetesObject>;
  delete(kind: ResourceKind, name: ObjectName, options: DeleteOptions): Promise<void>;
  /** Any path, parsed JSON answer; for discovery, /version, reviews. */
  raw(method: "GET" | "POST", path: string, body: unknown, options: RawOptions): Promise<unknown>;
  /**
   * Events from a resourceVersion on, until the server ends the watch (the iterator ends) or the signal
   * aborts. An ERROR event throws (410 as API_EXPIRED).
   */
  watch(kind: ResourceKind, query: WatchQuery, options: CallOptions): AsyncIterable<WatchEvent>;
}

/** A connection to one API server: owns the sockets. Disposing it ends running calls and watches. */
export interface KubeConnection extends KubeClient, AsyncDisposable {
  /** Scheme, host and port. */
  readonly server: string;
  /** Namespace of the kubeconfig's context or of the pod. */
  readonly namespace: string | undefined;
  /** A GET of any path, its answer as text: logs and metrics, of which the path asks for a bounded part. */
  text(path: string, options: CallOptions): Promise<string>;
  /** The same sockets and identity with a rate limit of its own, so that bulk work never delays a Lease. */
  paced(pace: { readonly qps: number; readonly burst: number; readonly userAgent?: string }): KubeClient;
}

/** A served resource, known without discovery. */
export interface ResourceKind {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case. */
  readonly resource: string;
  readonly namespaced: boolean;
}

export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Told each time the server answered 429 or 503 and the call waits to be repeated: slow down elsewhere too. */
  readonly onThrottle?: () => void;
}

export interface RawOptions extends CallOptions {
  /** Media types; default JSON. Aggregated discovery has one of its own. */
  readonly accept?: string;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: string;
  readonly fieldManager?: string;
  readonly dryRun?: boolean;
  /** Answer with PartialObjectMetadata: spares the object's way back. */
  readonly metadataOnly?: boolean;
}

export interface DeleteOptions extends CallOptions {
  /** Refuse unless the object still has this UID. */
  readonly uid?: string;
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Foreground" | "Background" | "Orphan";
}

export interface ListQuery {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continueToken?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan";
  /** PartialObjectMetadata: only metadata crosses the wire. */
  readonly metadataOnly?: boolean;
}

export interface ListPage {
  readonly items: readonly KubernetesObject[];
  readonly resourceVersion: string;
  readonly continueToken: string | undefined;
  readonly remainingItemCount: number | undefined;
}

export interface WatchQuery {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion: string;
  readonly timeoutSeconds?: number;
  readonly metadataOnly?: boolean;
}

export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubernetesObject }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export type Patch =
  | { readonly type: "merge" | "strategic"; readonly body: unknown }
  | { readonly type: "json"; readonly body: readonly unknown[] }
  | { readonly type: "apply"; readonly body: KubernetesObject; readonly force: boolean };

/**
 * A local copy of a set of objects, kept in step by list and watch (pages, bookmarks, 410, back-off).
 * `managedFields` are dropped.
 */
export interface Informer extends AsyncDisposable {
  /** Resolves after the first full list; rejects when the signal aborts first. */
  synced(signal: AbortSignal): Promise<void>;
  /** Whether the first full list is there. */
  readonly isSynced: boolean;
  get(name: ObjectName): KubernetesObject | undefined;
  list(namespace?: string): readonly KubernetesObject[];
  /** Called after the copy changed, once per object; `object` undefined: it is gone. */
  onChange(listener: (change: InformerChange) => void): Disposable;
}

export interface InformerChange {
  readonly name: ObjectName;
  readonly previous: KubernetesObject | undefined;
  readonly object: KubernetesObject | undefined;
}
