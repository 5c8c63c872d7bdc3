import type { JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { type ListOptions, matchesOptions } from "../list-options.ts";
import { type Representation, represent } from "../representation.ts";
import { apiVersionOf, type ResourceDefinition, shown } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { StatusError } from "../status-error.ts";
import { replay, type WatchEventType } from "../watch-cache.ts";
import { reachRevision } from "./read.ts";
import { errorFrame, gone } from "./watch-error.ts";

/** Where the frames of a watch go. */
export interface FrameSink {
  /** One whole frame, newline included. False: the client reads too slowly, the watch has to end. */
  send(frame: string): boolean;
  /** Ends the answer; nothing is sent after it. */
  end(): void;
}

export interface WatchSettings {
  readonly bookmarkIntervalMs: number;
  /** Without timeoutSeconds a watch lives between this and twice this. */
  readonly minimumTimeoutSeconds: number;
}

interface WatchCall {
  readonly definition: ResourceDefinition;
  readonly namespace: string;
  readonly options: ListOptions;
  readonly representation: Representation;
  readonly settings: WatchSettings;
}

/**
 * Sends events to the sink until the timeout, a 410, a slow reader or the signal. First come, without a gap to what
 * follows: nothing but changes after `resourceVersion`; or, for "" and "0", an ADDED for every object; or, with
 * sendInitialEvents, those and a bookmark marked as their end.
 *
 * A resourceVersion that does not come is told as an ERROR event, since a WatchList has begun by then.
 */
export async function prepareWatch(
  state: ServerState,
  call: WatchCall,
  signal: AbortSignal,
): Promise<(sink: FrameSink) => void> {
  const { options } = call;
  // A WatchList must not start before the state it promises; a plain watch from the future just waits for it.
  if (options.sendInitialEvents === true && options.resourceVersion !== undefined) {
    try {
      await reachRevision(state, options.resourceVersion, signal);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      return (sink) => {
        sink.send(errorFrame(error));
        sink.end();
      };
    }
  }
  return (sink) => runWatch(state, call, sink, signal);
}

function runWatch(state: ServerState, call: WatchCall, sink: FrameSink, signal: AbortSignal): void {
  const { storage, clock } = state;
  const { definition, options, settings, representation } = call;
  const stack = new DisposableStack();
  const writer = new FrameWriter(definition, representation, () => clock.now());
  let open = true;
  const stop = (): void => {
    if (!open) return;
    open = false;
    signal.removeEventListener("abort", stop);
    stack.dispose();
    sink.end();
  };
  const send = (frame: string): void => {
    if (open && !sink.send(frame)) stop();
  };
  const bookmark = (isEnd: boolean): void => send(writer.bookmark(storage.revision, isEnd));
  // Without the state and a version to start at, a watch hears what is new.
  const isNewsOnly = options.sendInitialEvents === false && (options.resourceVersion ?? 0) === 0;
  const from = isNewsOnly ? storage.revision : (options.resourceVersion ?? 0);
  const withState = options.sendInitialEvents ?? from === 0;
  const compacted = storage.compactedRevision(definition.collection);
  if (!withState && from < compacted) {
    send(gone(`too old resource version: ${from} (${compacted})`));
    sink.end();
    return;
  }
  const matches = (object: KubeObject): boolean =>
    matchesOptions(options, definition, shown(definition, object));
  const listener = (type: WatchEventType, object: KubeObject, revision: number): void => {
    // A watch that starts in the future hears nothing before.
    if (revision > from || withState) send(writer.event(type, object));
  };
  stack.use(
    state.watches.watch({
      collection: definition.collection,
      namespace: definition.namespaced ? call.namespace : "",
      matches,
      listener,
      expire: () => {
        send(gone("The resourceVersion for the provided watch is too old."));
        stop();
      },
    }),
  );
  signal.addEventListener("abort", stop, { once: true });
  const prefix = definition.namespaced && call.namespace !== "" ? `${call.namespace}/` : "";
  if (withState) {
    for (const { object } of storage.list(definition.collection, prefix))
      if (matches(object)) send(writer.event("ADDED", object));
    if (options.allowWatchBookmarks) bookmark(true);
  } else {
    for (const change of storage.changesAfter(definition.collection, from))
      if (change.key.startsWith(prefix)) replay(change, matches, listener);
  }
  if (!open) return;
  let bookmarkTimer: Disposable | undefined;
  const tick = (): void => {
    if (!open) return;
    bookmark(false);
    bookmarkTimer = clock.timer(settings.bookmarkIntervalMs, tick);
  };
  if (options.allowWatchBookmarks) {
    bookmarkTimer = clock.timer(settings.bookmarkIntervalMs, tick);
    stack.defer(() => bookmarkTimer?.[Symbol.dispose]());
  }
  const timeoutSeconds =
    options.timeoutSeconds ?? Math.ceil(settings.minimumTimeoutSeconds * (1 + Math.random()));
  stack.use(clock.timer(timeoutSeconds * 1000, stop));
}

/** Prints events. The JSON of one object in one form is made once, however many watchers see it. */
class FrameWriter {
  readonly #definition: ResourceDefinition;
  readonly #representation: Representation;
  readonly #now: () => number;
  #isFirst = true;

  constructor(definition: ResourceDefinition, representation: Representation, now: () => number) {
    this.#definition = definition;
    this.#representation = representation;
    this.#now = now;
  }

  event(type: WatchEventType, object: KubeObject): string {
    return `{"type":"${type}","object":${this.#text(object)}}\n`;
  }

  bookmark(revision: number, isEnd: boolean): string {
    const annotations = isEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
    const object: KubeObject = {
      kind: this.#definition.kind,
      apiVersion: apiVersionOf(this.#definition),
      metadata: { resourceVersion: String(revision), ...annotations },
    };
    return `{"type":"BOOKMARK","object":${JSON.stringify(this.#form(object))}}\n`;
  }

  #text(object: KubeObject): string {
    // A row's age changes with time and only the first one carries the columns, so tables are not kept.
    if (this.#representation.kind === "table") return JSON.stringify(this.#form(object));
    const key = `${this.#representation.kind} ${this.#definition.group}/${this.#definition.version}`;
    const texts = framesOf(object);
    const existing = texts.get(key);
    if (existing !== undefined) return existing;
    const text = JSON.stringify(this.#form(shown(this.#definition, object)));
    texts.set(key, text);
    return text;
  }

  #form(object: KubeObject): JsonObject {
    const form = represent(this.#representation, this.#definition, object, this.#now());
    if (this.#representation.kind !== "table" || this.#isFirst) {
      this.#isFirst = false;
      return form;
    }
    return { ...form, columnDefinitions: null };
  }
}

const frames = new WeakMap<KubeObject, Map<string, string>>();

function framesOf(object: KubeObject): Map<string, string> {
  const existing = frames.get(object);
  if (existing !== undefined) return existing;
  const texts = new Map<string, string>();
  frames.set(object, texts);
  return texts;
}
