import { readFileSync } from "node:fs";
import { CtrlmeshError } from "#api/errors";
import { managerUserAgent } from "#api/names";
import type { Informer, KubeConnection } from "#kube/client/client";
import { connect } from "#kube/client/connect";
import { startInformer } from "#kube/client/informer";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { Environment } from "#runtime/settings";
import type { InjectionSettings } from "#webhook/injection-request";
import { isOptedIn } from "#webhook/opt-in";
import { createWebhookServer, type WebhookServer } from "#webhook/server";
import type { StampSettings } from "#webhook/stamp";
import { readApiServerAddresses, serviceHosts } from "./api-server-addresses.ts";
import { CaBundles } from "./ca-bundle.ts";
import { Certificates } from "./certificates.ts";
import type { ManagerSettings } from "./settings.ts";
import { groupConfigs } from "./sharding/groups.ts";
import { namespaceKind } from "./sharding/namespaces.ts";
import { factsOf, namespaceLister, shardingConfigLister } from "./webhook-listers.ts";

/** What every replica has, leading or not: certificates, the namespaces, CA bundles, admission. */
export interface Replica {
  readonly connection: KubeConnection;
  readonly certificates: Certificates;
  readonly namespaces: Informer;
  readonly bundles: CaBundles;
  readonly webhooks: WebhookServer;
  readonly stamp: StampSettings;
}

/** Opens the connection to the API server that the settings name. @throws KUBECONFIG_INVALID, FILE_UNREADABLE */
export function connectManager(
  settings: ManagerSettings,
  env: Environment,
  deps: Pick<ReflectorDeps, "clock" | "random">,
): Promise<KubeConnection> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  const inCluster = host === undefined || port === undefined ? undefined : { host, port };
  return connect(
    {
      userAgent: managerUserAgent,
      rateLimit: { qps: settings.restConfigQps, burst: settings.restConfigBurst },
      ...(settings.kubeconfig === undefined ? {} : { kubeconfigFile: settings.kubeconfig }),
      ...(inCluster === undefined ? {} : { inCluster }),
    },
    deps,
  );
}

/** Starts what every replica runs; the stack ends it in reverse. */
export async function startReplica(
  settings: ManagerSettings,
  connection: KubeConnection,
  deps: ReflectorDeps,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Replica> {
  const { clock, log } = deps;
  const client = connection;
  const stamp = stampSettings(settings);
  const names = {
    namespace: settings.namespace,
    serviceHosts: await serviceHosts(client, settings.kubernetesServiceIp, log, signal),
    webhookHost: settings.webhookHost,
  };
  const certificates = stack.use(await Certificates.open({ client, clock, log, names }, signal));
  const namespaces = stack.use(startInformer(client, { kind: namespaceKind, metadataOnly: true }, deps));
  const bundles = stack.use(
    new CaBundles({
      client,
      clock,
      log,
      meshBundlePem: () => certificates.meshBundlePem,
      clusterCaPem: clusterCa(settings.clusterCaFile),
      namespaces: () => [...optedIn(namespaces), settings.namespace],
    }),
  );
  const webhooks = stack.use(
    createWebhookServer({
      namespaces: namespaceLister(client, namespaces),
      shardingConfigs: shardingConfigLister(client),
      namespaceObjects: bundles,
      apiServer: { read: (deadline) => readApiServerAddresses(client, deadline) },
      settings: injectionSettings(settings),
      nativeSidecars: settings.nativeSidecars,
      stamp,
      groupConfigs,
      certificate: () => certificates.webhookServing,
      log,
    }),
  );
  return { connection, certificates, namespaces, bundles, webhooks, stamp };
}

function stampSettings(settings: ManagerSettings): StampSettings {
  return {
    shardLabels: {
      hash: settings.labelShardHash,
      namespace: settings.labelNamespace,
      control: settings.labelMeshControl,
    },
    hash: settings.hash,
    exemptNamespaces: exemptNamespacesOf(settings),
  };
}

/** The list of the settings, and the manager's own namespace, which must not depend on itself. */
function exemptNamespacesOf({ exemptNamespaces, namespace }: ManagerSettings): readonly string[] {
  return [...new Set([...exemptNamespaces, namespace])];
}

function injectionSettings(settings: ManagerSettings): InjectionSettings {
  return {
    image: settings.proxyImage,
    imagePullPolicy: settings.proxyImagePullPolicy,
    resources: settings.proxyResources,
    logLevel: settings.proxyLogLevel,
    managerAddress: proxyManagerAddress(settings),
    managerNamespace: settings.namespace,
    extraEnv: {},
    iptablesBackend: settings.iptablesBackend,
  };
}

function proxyManagerAddress({
  proxyManagerAddress: given,
  namespace,
  grpcLeaderElectionPort,
}: ManagerSettings) {
  return given ?? `ctrlmesh-manager.${namespace}.svc:${grpcLeaderElectionPort}`;
}

function optedIn(namespaces: Informer): readonly string[] {
  return namespaces
    .list()
    .map(factsOf)
    .filter(isOptedIn)
    .map(({ name }) => name);
}

function clusterCa(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CtrlmeshError("FILE_UNREADABLE", {
      where: file,
      what: "the CA certificates of the API server can't be read",
      hint: "correct --cluster-ca-file",
      cause,
    });
  }
}
