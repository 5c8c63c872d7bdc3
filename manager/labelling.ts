import type { Informer, KubeConnection } from "#kube/client/client";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { StampSettings } from "#webhook/stamp";
import { type Healing, startHealing } from "./sharding/healing.ts";
import { keepPolicies } from "./sharding/keep-policies.ts";
import { type LabelAudit, startLabelAudit } from "./sharding/label-audit.ts";
import { keepNamespaceLabels } from "./sharding/namespaces.ts";
import { type ResourceCatalog, startResourceCatalog } from "./sharding/resources.ts";

/** Everything that keeps shard labels right; runs on the leader. */
export interface Labelling {
  readonly catalog: ResourceCatalog;
  readonly healing: Healing;
  readonly audit: LabelAudit;
}

export interface LabellingDeps extends ReflectorDeps {
  readonly connection: KubeConnection;
  readonly namespaces: Informer;
  readonly stamp: StampSettings;
  readonly managerNamespace: string;
  readonly resourceConfigmapName: string;
  readonly signal: AbortSignal;
}

/** The audit asks per namespace and kind, and nobody waits for it. */
const auditPace = { qps: 20, burst: 20 };

/** Starts catalog, healing, audit, namespace labels and policies; the stack ends them in reverse. */
export async function startLabelling(deps: LabellingDeps, stack: AsyncDisposableStack): Promise<Labelling> {
  const { connection, namespaces, stamp, signal } = deps;
  const catalog = stack.use(
    startResourceCatalog({
      ...deps,
      client: connection,
      namespace: deps.managerNamespace,
      configMapName: deps.resourceConfigmapName,
    }),
  );
  await Promise.all([catalog.synced(signal), namespaces.synced(signal)]);
  const settings = stamp;
  // No limit of its own: the healing follows what the server answers.
  const healing = stack.use(
    startHealing({ ...deps, client: connection.paced({ qps: 0, burst: 1 }), catalog, settings }),
  );
  const audit = stack.use(
    startLabelAudit({ ...deps, client: connection.paced(auditPace), namespaces, healing, settings }),
  );
  const client = connection;
  const kept = Promise.all([
    keepNamespaceLabels({ ...deps, client, settings, onCorrected: (name) => audit.auditSoon(name) }),
    keepPolicies({ ...deps, client, catalog, healing, settings }),
  ]);
  stack.defer(async () => void (await kept));
  return { catalog, healing, audit };
}
