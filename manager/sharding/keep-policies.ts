import { CtrlmeshError } from "#api/errors";
import type { OwnerReference } from "#api/meta";
import { group, wellKnown } from "#api/names";
import { isApiError, isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { runController } from "#kube/client/controller";
import type { ReflectorDeps } from "#kube/client/reflector";
import { WorkQueue } from "#kube/client/work-queue";
import type { StampSettings } from "#webhook/stamp";
import { applyOwned, readOwner } from "../owned-objects.ts";
import {
  mutatingBindingKind,
  mutatingPolicyKind,
  type PolicyManifest,
  protectLabelsPolicy,
  stampPolicy,
  supportsMutatingPolicies,
  supportsValidatingPolicies,
} from "./admission-policy.ts";
import type { ServedResource } from "./discovery.ts";
import type { Healing } from "./healing.ts";
import { optInPolicy, requireProxyPolicy } from "./opt-in-policy.ts";
import { kindIdentity, PublishedSchemas } from "./published-schemas.ts";
import type { ResourceCatalog } from "./resources.ts";
import { kindName } from "./stamp.ts";
import { stampedKinds } from "./stamped-kinds.ts";

export interface PolicyDeps extends ReflectorDeps {
  readonly client: KubeClient;
  readonly catalog: Pick<ResourceCatalog, "served" | "ending" | "onChange">;
  /** Its kinds are stamped. */
  readonly healing: Pick<Healing, "kinds" | "onKinds">;
  readonly settings: StampSettings;
  readonly signal: AbortSignal;
}

/** Somebody may delete a policy; nothing tells us. */
const reapplyMs = 60_000;
const waitingMs = 3_000;
/** What limits want is known after the first rounds over all namespaces; to stamp too much until then does no harm. */
const inheritMs = 60_000;
const key = "policies";

/**
 * Keeps the admission policies that this API server can have until the signal aborts: stamping, protection of
 * namespace labels, opt-in and required proxy. A kind joins the stamp policy when its schema is settled and leaves
 * it when its CRD is being deleted; what an earlier leader put into it stays there from the start. They stay when the manager stops: they need nobody to work.
 */
export async function keepPolicies(deps: PolicyDeps): Promise<void> {
  const { client, catalog, healing, signal, log } = deps;
  using queue = new WorkQueue({ ...deps, retryPause: { minMs: 1000, maxMs: 30_000 } });
  using _catalog = catalog.onChange(() => queue.add(key));
  using _kinds = healing.onKinds(() => queue.add(key));
  let kept: Kept | undefined;
  queue.add(key);
  const reconcile = async () => {
    kept ??= inherit(deps, await stampedKinds(client, { signal }));
    return await applyPolicies(deps, kept);
  };
  await runController({ name: "admission policies", queue, reconcile, workers: 1, signal, log });
}

/** What one leadership remembers from round to round. */
interface Kept {
  readonly schemas: PublishedSchemas;
  /** Kinds (`kindIdentity`) that an earlier leader stamped. */
  readonly inherited: ReadonlySet<string>;
  /** They stay until then, of the monotonic clock, whoever wants them. */
  readonly inheritedUntilMs: number;
}

function inherit({ client, clock }: PolicyDeps, kinds: readonly string[]): Kept {
  return {
    schemas: new PublishedSchemas(client, clock, kinds),
    inherited: new Set(kinds),
    inheritedUntilMs: clock.monotonicMs() + inheritMs,
  };
}

async function applyPolicies(deps: PolicyDeps, kept: Kept) {
  const { client, catalog, settings, signal } = deps;
  const call = { signal };
  const owner = await readOwner(client, signal);
  const put = (manifest: PolicyManifest) => apply(client, manifest, owner, signal);
  let isWaiting = false;
  if (await supportsMutatingPolicies(client, call)) {
    const { settled, waiting } = await kept.schemas.split(stampable(deps, kept), call);
    isWaiting = waiting.length > 0 || catalog.ending().length > 0;
    const stamp = stampPolicy(settled, settings);
    if (stamp === undefined) await removeStamp(client, call);
    else await put(stamp);
    await put(optInPolicy());
  }
  if (await supportsValidatingPolicies(client, call)) {
    await put(protectLabelsPolicy(await ownUser(client, call), settings));
    if (isShardingServed(catalog)) await put(requireProxyPolicy());
  }
  return { requeueAfterMs: isWaiting ? waitingMs : reapplyMs * (1 + 0.2 * deps.random()) };
}

/** All served versions of the kinds to stamp whose CRD is not on its way out. */
function stampable({ catalog, healing, clock }: PolicyDeps, kept: Kept): ServedResource[] {
  const ending = new Set(catalog.ending().map(kindName));
  const names = new Set(healing.kinds().map(kindName));
  const inherits = clock.monotonicMs() < kept.inheritedUntilMs;
  const isWanted = (each: ServedResource) =>
    names.has(kindName(each)) || (inherits && kept.inherited.has(kindIdentity(each)));
  return catalog.served().filter((each) => isWanted(each) && !ending.has(kindName(each)));
}

function isShardingServed(catalog: Pick<ResourceCatalog, "served" | "ending">): boolean {
  const isOurs = (each: { group: string; resource: string }) =>
    each.group === group && each.resource === "shardingconfigs";
  return catalog.served().some(isOurs) && !catalog.ending().some(isOurs);
}

async function apply(
  client: KubeClient,
  { policyKind, bindingKind, policy, bindings }: PolicyManifest,
  owner: OwnerReference | undefined,
  signal: AbortSignal,
): Promise<void> {
  await applyOwned(client, { kind: policyKind, body: policy }, owner, signal);
  for (const body of bindings) await applyOwned(client, { kind: bindingKind, body }, owner, signal);
}

/** The binding goes first: a binding without its policy is an error that writes would meet. */
async function removeStamp(client: KubeClient, call: CallOptions): Promise<void> {
  for (const kind of [mutatingBindingKind, mutatingPolicyKind]) {
    try {
      await client.delete(kind, { name: wellKnown.stampPolicy }, call);
    } catch (failed) {
      if (!isApiError(failed, "API_NOT_FOUND")) throw failed;
    }
  }
}

/** Our user name in the API server's eyes (SelfSubjectReview, Kubernetes 1.28). */
async function ownUser(client: KubeClient, call: CallOptions): Promise<string> {
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const review = await client.raw("POST", path, body, call);
  const status = isRecord(review) && isRecord(review.status) ? review.status : {};
  const user = isRecord(status.userInfo) ? status.userInfo.username : undefined;
  if (typeof user === "string" && user !== "") return user;
  throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the review names no user", where: path });
}
