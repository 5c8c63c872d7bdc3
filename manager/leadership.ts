import type { KubernetesObject } from "#api/meta";
import { group, wellKnown } from "#api/names";
import { version } from "#api/version";
import { isRecord } from "#kube/client/api-error";
import { EventRecorder } from "#kube/client/events";
import { startInformer } from "#kube/client/informer";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { WebhookConfigurationInput } from "#webhook/configuration";
import type { Proxies } from "./control/proxies.ts";
import { type Labelling, startLabelling } from "./labelling.ts";
import { type Endpoint, LeadershipTerm } from "./manager-state.ts";
import type { LeaderMetrics } from "./metrics.ts";
import { mirrorOptIn } from "./opt-in-mirror.ts";
import type { Replica } from "./replica.ts";
import type { ManagerSettings } from "./settings.ts";
import { supportsMutatingPolicies } from "./sharding/admission-policy.ts";
import { shardingConfigKind } from "./sharding/config-objects.ts";
import { runSharding } from "./sharding/controller.ts";
import { podKind } from "./sharding/pod-tracker.ts";
import { WebhookConfigurationKeeper } from "./webhook-configuration.ts";

/** Label of the manager's own pods, as the original's chart has it. */
const managerPodSelector = "control-plane=ctrlmesh";
const eventController = `${group}/manager`;
/** Events are the first thing to give up when the server is busy. */
const eventPace = { qps: 10, burst: 50 };

export interface LeadershipDeps {
  readonly settings: ManagerSettings;
  readonly replica: Replica;
  readonly proxies: Proxies;
  readonly metrics: LeaderMetrics;
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
  const { healing } = labelling;
  stack.use(
    healing.onChange((kind) => {
      const { remaining } = healing.state(kind);
      if (remaining !== undefined)
        context.metrics.unlabelledObjects.set(remaining, [kind.group, kind.resource]);
    }),
  );
  const leadership = await LeadershipTerm.claim({ ...deps, client: connection }, context.term, signal);
  await publishEndpoints(context, leadership);
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
  stack.use(healing.onKinds(() => webhooks.wake()));
  const configs = stack.use(startInformer(connection, { kind: shardingConfigKind }, deps));
  const events = new EventRecorder({
    ...deps,
    client: connection.paced(eventPace),
    controller: eventController,
    instance: settings.podName,
    signal,
  });
  await runSharding(
    {
      ...deps,
      client: connection,
      proxies: context.proxies,
      configs,
      catalog: labelling.catalog,
      coverage: healing,
      events,
      labels: replica.stamp.shardLabels,
      hash: replica.stamp.hash,
      relayKey: (namespace, ledger) => certificates.relayKey(namespace, ledger),
      exemptNamespaces: replica.stamp.exemptNamespaces,
      term: leadership,
      unowned: context.metrics.unownedAtoms,
    },
    signal,
  );
}

/** Tells the other replicas and their proxies where the leader is. */
async function publishEndpoints(
  { settings, replica, signal }: LeadershipDeps,
  term: LeadershipTerm,
): Promise<void> {
  const { namespace, podName, podIp, grpcLeaderElectionPort } = settings;
  const query = { namespace, labelSelector: managerPodSelector };
  const { items } = await replica.connection.list(podKind, query, { signal });
  const others = items
    .filter(isRunning)
    .map(endpointOf)
    .filter(({ name }) => name !== podName);
  const replicas = [{ name: podName, podIP: podIp }, ...others];
  const { hash, shardLabels: labels, exemptNamespaces } = replica.stamp;
  const endpoints = {
    namespace,
    replicas,
    leader: podName,
    controlPort: grpcLeaderElectionPort,
    version,
    sharding: { hash, labels, exemptNamespaces: [...exemptNamespaces] },
  };
  await term.publish(endpoints, signal);
}

function isRunning({ status }: KubernetesObject): boolean {
  return isRecord(status) && status.phase === "Running";
}

function endpointOf({ metadata, status }: KubernetesObject): Endpoint {
  const podIP = isRecord(status) && typeof status.podIP === "string" ? status.podIP : "";
  return { name: metadata?.name ?? "", podIP };
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
