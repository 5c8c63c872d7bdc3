import { toCtrlmeshError } from "#api/errors";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
  type WebhookConfigurationInput,
} from "#webhook/configuration";
import { applyOwned, readOwner } from "./owned-objects.ts";

const clusterScoped = { group: "admissionregistration.k8s.io", version: "v1", namespaced: false } as const;
const mutatingKind: ResourceKind = { ...clusterScoped, resource: "mutatingwebhookconfigurations" };
const validatingKind: ResourceKind = { ...clusterScoped, resource: "validatingwebhookconfigurations" };
const checkIntervalMs = 60_000;

export interface WebhookConfigurationDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** What is wanted now: target, CA bundle, kinds. */
  readonly wanted: () => WebhookConfigurationInput;
  /** Called each time that both are written. */
  readonly onApplied?: () => void;
}

/**
 * Keeps both webhook configurations as they should be: made when they are missing, put right when somebody
 * changed them, in step with the certificates. One replica (the leader) is enough. Server-side apply: a write
 * without difference changes nothing.
 */
export class WebhookConfigurationKeeper implements AsyncDisposable {
  readonly #deps: WebhookConfigurationDeps;
  readonly #stopped = new AbortController();
  #sleep = new AbortController();
  readonly #loop: Promise<void>;

  constructor(deps: WebhookConfigurationDeps) {
    this.#deps = deps;
    this.#loop = this.#keep();
  }

  /** Looks now: certificates or kinds changed. */
  wake(): void {
    this.#sleep.abort();
  }

  async #keep(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#sleep = new AbortController();
      try {
        await applyWebhookConfigurations(this.#deps, signal);
        this.#deps.onApplied?.();
      } catch (thrown) {
        if (signal.aborted) return;
        const { code, message } = toCtrlmeshError(thrown);
        log.warn("webhook configurations not written", { code, reason: message });
      }
      await clock
        .sleep(checkIntervalMs, AbortSignal.any([signal, this.#sleep.signal]))
        .catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }
}

/** Writes both once. @throws CtrlmeshError of the API client */
export async function applyWebhookConfigurations(
  { client, wanted }: Pick<WebhookConfigurationDeps, "client" | "wanted">,
  signal: AbortSignal,
): Promise<void> {
  const input = wanted();
  const owner = await readOwner(client, signal);
  const manifests = [
    [mutatingKind, mutatingWebhookConfiguration(input)],
    [validatingKind, validatingWebhookConfiguration(input)],
  ] as const;
  for (const [kind, body] of manifests) await applyOwned(client, { kind, body }, owner, signal);
}
