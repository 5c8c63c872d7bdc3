import { toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { Informer, InformerChange, KubeClient, ObjectName } from "./client.ts";
import { type ReflectorDeps, type ReflectorSink, reflect, type Selection } from "./reflector.ts";

/**
 * A local copy of the selected objects, followed from now on. Listeners added before the first `await` miss
 * nothing. Dispose it to end list and watch.
 */
export function startInformer(client: KubeClient, selection: Selection, deps: ReflectorDeps): Informer {
  const controller = new AbortController();
  const copy = new InformerCopy(deps);
  const running = reflect(client, selection, copy, { ...deps, signal: controller.signal });
  return {
    get isSynced() {
      return copy.isSynced;
    },
    synced: (signal) => copy.synced(AbortSignal.any([signal, controller.signal])),
    get: (name) => copy.get(name),
    list: (namespace) => copy.list(namespace),
    onChange: (listener) => copy.onChange(listener),
    [Symbol.asyncDispose]: async () => {
      controller.abort(new DOMException("the informer was closed", "AbortError"));
      await running;
    },
  };
}

class InformerCopy implements ReflectorSink {
  readonly #deps: ReflectorDeps;
  readonly #namespaces = new Map<string, Map<string, KubernetesObject>>();
  readonly #listeners = new Set<(change: InformerChange) => void>();
  readonly #firstList = Promise.withResolvers<void>();
  isSynced = false;

  constructor(deps: ReflectorDeps) {
    this.#deps = deps;
  }

  async synced(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const stop = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await Promise.race([this.#firstList.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  get(name: ObjectName): KubernetesObject | undefined {
    return this.#namespaces.get(name.namespace ?? "")?.get(name.name);
  }

  list(namespace?: string): readonly KubernetesObject[] {
    if (namespace !== undefined) return [...(this.#namespaces.get(namespace)?.values() ?? [])];
    return [...this.#namespaces.values()].flatMap((objects) => [...objects.values()]);
  }

  onChange(listener: (change: InformerChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  replace(objects: readonly KubernetesObject[]): void {
    const changes: InformerChange[] = [];
    const gone = new Map<string, Set<string>>();
    for (const [namespace, stored] of this.#namespaces) gone.set(namespace, new Set(stored.keys()));
    for (const object of objects) {
      const name = nameOfObject(object);
      gone.get(name.namespace ?? "")?.delete(name.name);
      const previous = this.get(name);
      this.#store(name, object);
      if (!isSameRevision(previous, object)) changes.push({ name, previous, object });
    }
    for (const [namespace, names] of gone) {
      for (const name of names) {
        const objectName = namespace === "" ? { name } : { namespace, name };
        changes.push({ name: objectName, previous: this.get(objectName), object: undefined });
        this.#remove(objectName);
      }
    }
    for (const change of changes) this.#tell(change);
    this.isSynced = true;
    this.#firstList.resolve();
  }

  apply(event: { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubernetesObject }): void {
    const name = nameOfObject(event.object);
    const previous = this.get(name);
    if (event.type === "DELETED") {
      this.#remove(name);
      this.#tell({ name, previous: previous ?? event.object, object: undefined });
      return;
    }
    this.#store(name, event.object);
    this.#tell({ name, previous, object: event.object });
  }

  #store(name: ObjectName, object: KubernetesObject): void {
    const namespace = name.namespace ?? "";
    const stored = this.#namespaces.get(namespace) ?? new Map<string, KubernetesObject>();
    stored.set(name.name, object);
    this.#namespaces.set(namespace, stored);
  }

  #remove(name: ObjectName): void {
    const stored = this.#namespaces.get(name.namespace ?? "");
    stored?.delete(name.name);
    if (stored?.size === 0) this.#namespaces.delete(name.namespace ?? "");
  }

  #tell(change: InformerChange): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(change);
      } catch (thrown) {
        // One reader's defect must not stop the copy for the others.
        this.#deps.log.error("an informer's listener failed", { error: toCtrlmeshError(thrown) });
      }
    }
  }
}

function nameOfObject(object: KubernetesObject): ObjectName {
  const { name = "", namespace } = object.metadata ?? {};
  return namespace === undefined || namespace === "" ? { name } : { namespace, name };
}

function isSameRevision(previous: KubernetesObject | undefined, object: KubernetesObject): boolean {
  const revision = object.metadata?.resourceVersion;
  return revision !== undefined && previous?.metadata?.resourceVersion === revision;
}
