import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { KubeClient, ResourceKind, WatchEvent } from "./client.ts";
import { deadline } from "./deadline.ts";
import { listAll } from "./list-all.ts";

/** What is followed. */
export interface Selection {
  readonly kind: ResourceKind;
  /** Default: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only metadata crosses the wire. */
  readonly metadataOnly?: boolean;
  /** What is kept of each object, applied page by page; default: all of it. */
  readonly trim?: (object: KubernetesObject) => KubernetesObject;
}

/** Where the reflector puts what it sees. Calls come one at a time. */
export interface ReflectorSink {
  /** The whole set, consistent as of one moment; first, and after each 410. */
  replace(objects: readonly KubernetesObject[], resourceVersion: string): void;
  apply(event: Exclude<WatchEvent, { type: "BOOKMARK" }>): void;
  /** List or watch failed and is tried again; the set may be behind. */
  failed?(error: CtrlmeshError): void;
}

export interface ReflectorDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Bookmarks come each minute; two missed ones are a connection that is dead without saying so. */
const silenceLimitMs = 120_000;
/** As client-go: between 5 and 10 minutes, spread so that watches don't end together. */
const watchSeconds = 300;
/** A watch that ends sooner with nothing delivered is a failure to back off from. */
const shortestUsefulWatchMs = 1000;

/**
 * Keeps a sink in step with a set of objects until the signal aborts: list, watch from there, watch again from
 * the last event or bookmark when the connection ends, list again when the server says 410. Never ends by
 * itself: forbidden or unknown kinds are tried again too (RBAC and CRDs come late), with growing pauses up to
 * 30 s.
 */
export async function reflect(
  client: KubeClient,
  selection: Selection,
  sink: ReflectorSink,
  deps: ReflectorDeps & { readonly signal: AbortSignal },
): Promise<void> {
  const { signal, clock, random } = deps;
  const backoff = new Backoff({ minMs: 200, maxMs: 30_000, clock, random });
  const position: Position = { resourceVersion: undefined };
  while (!signal.aborted) {
    try {
      if (position.resourceVersion === undefined) {
        const whole = await listAll(client, selection.kind, selection, { signal });
        sink.replace(whole.objects, whole.resourceVersion);
        position.resourceVersion = whole.resourceVersion;
      }
      const useful = await followWatch(client, selection, sink, position, deps);
      if (useful) backoff.reset();
      else await backoff.wait(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      const error = toCtrlmeshError(thrown, "API_REQUEST_FAILED");
      // The moment that we know is compacted away, or the server was set back to an older state.
      if (error.code === "API_EXPIRED") position.resourceVersion = undefined;
      report(error, selection, deps.log);
      sink.failed?.(error);
      await backoff.wait(signal).catch(() => undefined);
    }
  }
}

interface Position {
  resourceVersion: string | undefined;
}

/** One watch to its end. True when it delivered something or lasted. */
async function followWatch(
  client: KubeClient,
  selection: Selection,
  sink: ReflectorSink,
  position: Position,
  deps: ReflectorDeps & { readonly signal: AbortSignal },
): Promise<boolean> {
  const { clock, random, signal } = deps;
  const what = `${selection.kind.resource}: no event and no bookmark for ${silenceLimitMs / 1000} s`;
  using silence = deadline(silenceLimitMs, what, clock, signal);
  silence.arm();
  const startedMs = clock.monotonicMs();
  const { kind, trim: _, ...filter } = selection;
  const query = {
    ...filter,
    resourceVersion: position.resourceVersion ?? "",
    timeoutSeconds: Math.round(watchSeconds * (1 + random())),
  };
  let delivered = false;
  for await (const event of client.watch(kind, query, { signal: silence.signal })) {
    silence.arm();
    delivered = true;
    if (event.type === "BOOKMARK") {
      position.resourceVersion = event.resourceVersion;
      continue;
    }
    sink.apply(event);
    position.resourceVersion = event.object.metadata?.resourceVersion ?? position.resourceVersion;
  }
  return delivered || clock.monotonicMs() - startedMs >= shortestUsefulWatchMs;
}

function report(error: CtrlmeshError, { kind }: Selection, log: Log): void {
  const fields = { group: kind.group, resource: kind.resource, code: error.code, reason: error.message };
  // An expired position and a quiet connection are part of normal life.
  if (error.code === "API_EXPIRED" || error.code === "API_UNREACHABLE") log.info("watch is resumed", fields);
  else log.warn("list or watch failed and is tried again", fields);
}
