import { wellKnown } from "#api/names";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { Metrics } from "#runtime/metrics";
import type { WebhookConfigurationInput } from "#webhook/configuration";
import type { Proxies } from "./control/proxies.ts";
import { type Labelling, startLabelling } from "./labelling.ts";
import { mirrorOptIn } from "./opt-in-mirror.ts";
import type { Replica } from "./replica.ts";
import type { ManagerSettings } from "./settings.ts";
import { supportsMutatingPolicies } from "./sharding/admission-policy.ts";
import { WebhookConfigurationKeeper } from "./webhook-configuration.ts";

export interface LeadershipDeps {
  readonly settings: ManagerSettings;
  readonly replica: Replica;
  readonly proxies: Proxies;
  readonly metrics: Metrics;
  readonly deps: ReflectorDeps;
  readonly term: number;
  /** Called each time that the webhook configurations are in place. */
  readonly onWebhooks: () => void;
  /** Aborts before another replica can lead. */
  readonly signal: AbortSignal;
}

/** Runs all that only the leader does until the signal aborts; nothing writes any more when it resolves. */
export async function lead(context: LeadershipDeps): Promise<void> {
  const { settings, replica, deps, signal } = context;
  const { connection, namespaces, bundles, certificates } = replica;
  await using stack = new AsyncDisposableStack();
  const mirroring = mirrorOptIn({ ...deps, client: connection, namespaces, signal });
  stack.defer(() => mirroring);
  bundles.start();
  stack.use(namespaces.onChange(() => bundles.wake()));
  const labelling = await startLabelling(
    {
      ...deps,
      connection,
      namespaces,
      stamp: replica.stamp,
      managerNamespace: settings.namespace,
      resourceConfigmapName: settings.resourceConfigmapName,
      signal,
    },
    stack,
  );
  const hasPolicies = await supportsMutatingPolicies(connection, { signal });
  const webhooks = stack.use(
    new WebhookConfigurationKeeper({
      ...deps,
      client: connection,
      wanted: () => wantedWebhooks(context, labelling, hasPolicies),
      onApplied: context.onWebhooks,
    }),
  );
  stack.use(certificates.onChange(() => webhooks.wake()));
  stack.use(labelling.healing.onKinds(() => webhooks.wake()));
  await ended(signal);
}

function wantedWebhooks(
  { settings, replica }: LeadershipDeps,
  { healing }: Labelling,
  hasPolicies: boolean,
): WebhookConfigurationInput {
  const { webhookHost, webhookPort, namespace } = settings;
  return {
    target:
      webhookHost === undefined
        ? { kind: "service", namespace, name: wellKnown.webhookService, port: 443 }
        : { kind: "url", host: webhookHost, port: webhookPort },
    caBundlePem: replica.certificates.meshBundlePem,
    managerNamespace: namespace,
    shardLabels: replica.stamp.shardLabels,
    kindsToLabel: hasPolicies ? undefined : healing.kinds(),
  };
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
