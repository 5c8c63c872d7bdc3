import type { KubernetesObject } from "#api/meta";
import type { Informer, KubeClient } from "#kube/client/client";
import { startInformer } from "#kube/client/informer";
import type { ReflectorDeps } from "#kube/client/reflector";
import { podKind } from "./pod-tracker.ts";

/** Pods of the namespaces that have shards: one informer each, since only their own pods count. */
export class NamespacePods implements AsyncDisposable {
  readonly #deps: ReflectorDeps & { readonly client: KubeClient };
  readonly #onPod: (namespace: string, pod: KubernetesObject) => void;
  readonly #informers = new Map<string, Informer>();

  /** @param onPod told of each change, and of the last state of a pod that is gone */
  constructor(
    deps: ReflectorDeps & { readonly client: KubeClient },
    onPod: (namespace: string, pod: KubernetesObject) => void,
  ) {
    this.#deps = deps;
    this.#onPod = onPod;
  }

  async of(namespace: string, signal: AbortSignal): Promise<Informer> {
    let informer = this.#informers.get(namespace);
    if (informer === undefined) {
      informer = startInformer(this.#deps.client, { kind: podKind, namespace }, this.#deps);
      informer.onChange(({ object, previous }) => this.#onPod(namespace, object ?? previous ?? {}));
      this.#informers.set(namespace, informer);
    }
    await informer.synced(signal);
    return informer;
  }

  async forget(namespace: string): Promise<void> {
    const informer = this.#informers.get(namespace);
    this.#informers.delete(namespace);
    await informer?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#informers.keys()].map((namespace) => this.forget(namespace)));
  }
}
