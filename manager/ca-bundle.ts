import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { caBundleKeys, fieldManager, labels, wellKnown } from "#api/names";
import type { CallOptions, KubeClient, ResourceKind } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { NamespaceObjects } from "#webhook/listers";
import { kubeconfigText } from "#webhook/modes/kubeconfig";
import { certificatesOf } from "./ca.ts";
import { textsOfConfigMap } from "./secret-texts.ts";

export const configMapKind: ResourceKind = {
  group: "",
  version: "v1",
  resource: "configmaps",
  namespaced: true,
};

/** Where Kubernetes publishes the cluster's CA in every namespace. */
const rootCa = { name: "kube-root-ca.crt", key: "ca.crt" } as const;
const checkIntervalMs = 60_000;
/** A new namespace has no kube-root-ca.crt yet: some seconds later it has. Doubled each time in vain. */
const firstRetryMs = 2_000;
const parallel = 8;

export interface CaBundlesDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Authorities of the mesh as they are now. */
  readonly meshBundlePem: () => string;
  /** The cluster's CA where Kubernetes has not published it; undefined when the manager has none. */
  readonly clusterCaPem: string | undefined;
  /** Namespaces that need the ConfigMaps: all opted-in ones and the manager's own. */
  readonly namespaces: () => readonly string[];
}

/**
 * Keeps the ConfigMaps that injected pods mount: `ctrlmesh-ca` (cluster CA and mesh CA in one file, since a
 * projected volume can't join two) and the kubeconfig of mode `kubeconfig`. Made before a pod is admitted; all
 * are looked at once a minute and when `wake` is called, and so follow the rotation of either CA.
 */
export class CaBundles implements NamespaceObjects, AsyncDisposable {
  readonly #deps: CaBundlesDeps;
  readonly #stopped = new AbortController();
  #sleep = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: CaBundlesDeps) {
    this.#deps = deps;
  }

  /** Starts to keep them; without it only `ensure` acts. */
  start(): void {
    this.#loop = this.#keep();
  }

  /** Looks now: a CA or the set of namespaces changed. */
  wake(): void {
    this.#sleep.abort();
  }

  async ensure(namespace: string, signal: AbortSignal): Promise<void> {
    const { meshBundlePem } = this.#deps;
    const clusterCa = await this.#clusterCa(namespace, signal);
    const mesh = meshBundlePem();
    const all = [...new Set([...certificatesOf(clusterCa), ...certificatesOf(mesh)])].join("");
    await this.#write(
      namespace,
      wellKnown.caBundleConfigMap,
      { [caBundleKeys.all]: all, [caBundleKeys.cluster]: clusterCa, [caBundleKeys.mesh]: mesh },
      signal,
    );
    await this.#write(
      namespace,
      wellKnown.fakeKubeconfigConfigMap,
      { [wellKnown.fakeKubeconfigKey]: kubeconfigText(namespace) },
      signal,
    );
  }

  async #clusterCa(namespace: string, signal: AbortSignal): Promise<string> {
    const published = await this.#read(namespace, rootCa.name, { signal });
    const text = (published === undefined ? undefined : textsOfConfigMap(published).get(rootCa.key)) ?? "";
    if (certificatesOf(text).length > 0) return text;
    if (this.#deps.clusterCaPem !== undefined) return this.#deps.clusterCaPem;
    throw new CtrlmeshError("INVALID_SETTING", {
      where: `ConfigMap ${namespace}/${rootCa.name}`,
      what: "the CA of the cluster is not known",
      hint: "give the manager --cluster-ca-file",
    });
  }

  async #write(
    namespace: string,
    name: string,
    texts: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const present = await this.#read(namespace, name, { signal });
    if (present !== undefined && isSame(present, texts)) return;
    const body: KubernetesObject = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, labels: { [labels.watching]: "true" } },
      data: texts,
    };
    await this.#deps.client.patch(
      configMapKind,
      { namespace, name },
      { type: "apply", body, force: true },
      { signal, fieldManager },
    );
  }

  async #read(namespace: string, name: string, options: CallOptions): Promise<KubernetesObject | undefined> {
    try {
      return await this.#deps.client.get(configMapKind, { namespace, name }, options);
    } catch (thrown) {
      if (thrown instanceof CtrlmeshError && thrown.code === "API_NOT_FOUND") return undefined;
      throw thrown;
    }
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stopped;
    let retryMs = firstRetryMs;
    while (!signal.aborted) {
      this.#sleep = new AbortController();
      const isDone = await this.#ensureAll(signal);
      const awake = AbortSignal.any([signal, this.#sleep.signal]);
      const pauseMs = isDone ? checkIntervalMs : retryMs;
      retryMs = isDone ? firstRetryMs : Math.min(retryMs * 2, checkIntervalMs);
      await this.#deps.clock.sleep(pauseMs, awake).catch(() => undefined);
    }
  }

  /**
   * A namespace that fails, for example because it is being deleted, does not hold up the others. Whether all were
   * written.
   */
  async #ensureAll(signal: AbortSignal): Promise<boolean> {
    let isDone = true;
    const waiting = [...this.#deps.namespaces()];
    const worker = async () => {
      for (let namespace = waiting.shift(); namespace !== undefined; namespace = waiting.shift()) {
        if (signal.aborted) return;
        await this.ensure(namespace, signal).catch((thrown: unknown) => {
          if (signal.aborted) return;
          isDone = false;
          const { code, message } = toCtrlmeshError(thrown);
          this.#deps.log.warn("CA bundle not written", { namespace, code, reason: message });
        });
      }
    };
    await Promise.all(Array.from({ length: parallel }, worker));
    return isDone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }
}

function isSame(present: KubernetesObject, texts: Readonly<Record<string, string>>): boolean {
  const stored = textsOfConfigMap(present);
  return Object.entries(texts).every(([key, text]) => stored.get(key) === text);
}
