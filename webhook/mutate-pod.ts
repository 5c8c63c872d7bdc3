import { CtrlmeshError } from "#api/errors";
import { podSecurityEnforce } from "#api/names";
import { type AdmissionRequest, allow, allowWith, refuse, type Verdict } from "./admission-review.ts";
import { chooseMode } from "./choose-mode.ts";
import { inject } from "./inject.ts";
import type { InjectionSettings } from "./injection-request.ts";
import type {
  ApiServerAddresses,
  NamespaceLister,
  NamespaceObjects,
  ShardingConfigLister,
} from "./listers.ts";
import { decideOptIn } from "./opt-in.ts";
import { parsePod } from "./pod.ts";

export interface PodAdmissionDeps {
  readonly namespaces: NamespaceLister;
  readonly shardingConfigs: ShardingConfigLister;
  readonly namespaceObjects: NamespaceObjects;
  readonly apiServer: ApiServerAddresses;
  readonly settings: InjectionSettings;
  readonly nativeSidecars: boolean;
}

/**
 * Pod create: injects, leaves alone or refuses. Reads namespace and ShardingConfigs consistently, since a
 * copy that lags would let the first pod of a new config run without a proxy.
 *
 * @throws CtrlmeshError when something can't be read: the caller refuses the pod
 */
export async function mutatePod(
  request: AdmissionRequest,
  deps: PodAdmissionDeps,
  signal: AbortSignal,
): Promise<Verdict> {
  if (request.operation !== "CREATE" || (request.subResource ?? "") !== "") return allow;
  const pod = parsePod(request.object);
  const namespaceName = request.namespace ?? pod.metadata.namespace ?? "";
  const [namespace, { configs, unreadable }] = await Promise.all([
    deps.namespaces.read(namespaceName, signal),
    deps.shardingConfigs.read(namespaceName, signal),
  ]);
  const podLabels = pod.metadata.labels ?? {};
  const facts = namespace ?? { name: namespaceName, labels: {}, annotations: {} };
  const answer = decideOptIn({ podLabels, namespace: facts, configs, unreadable });
  if (answer.kind === "leave") return allow;
  if (answer.kind === "refuse") return refuse(new CtrlmeshError("INJECTION_REFUSED", answer));
  const { mode, byName } = chooseMode(pod, facts.annotations);
  const { webhook } = answer.config.spec;
  const injected = inject(pod, {
    namespace: namespaceName,
    shard: answer.config.metadata.name,
    ...(webhook === undefined ? {} : { webhook }),
    mode,
    byName,
    apiServer: mode === "iptables" ? await deps.apiServer.read(signal) : [],
    podSecurity: facts.labels[podSecurityEnforce],
    nativeSidecars: deps.nativeSidecars,
    settings: deps.settings,
  });
  if (request.dryRun !== true) await deps.namespaceObjects.ensure(namespaceName, signal);
  return allowWith(request.object, injected.pod, injected.warnings);
}
