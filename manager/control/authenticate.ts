import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { controlAudience, labels } from "#api/names";
import { isApiError, isRecord } from "#kube/client/api-error";
import type { KubeClient, ResourceKind } from "#kube/client/client";

/** The pod that a control stream speaks for, as its token and the API server say. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly podIp: string;
  /** ShardingConfig that its injection named. */
  readonly shard: string;
}

/** As much of the API as it takes to know who asks. */
export type IdentityReader = Pick<KubeClient, "get" | "raw">;

const podKind: ResourceKind = { group: "", version: "v1", resource: "pods", namespaced: true };
const accountPrefix = "system:serviceaccount:";
const podNameExtra = "authentication.kubernetes.io/pod-name";
const podUidExtra = "authentication.kubernetes.io/pod-uid";

/**
 * Who opened a control stream: the token must be good now for the audience `ctrlmesh` (TokenReview) and bound to a
 * pod, and that pod must exist under the same UID, still run and have been injected. Everything is read from the
 * API server, never from a copy: a copy that lags would let a deleted pod in.
 *
 * A terminating pod is let in: its operator still runs, and its proxy must learn of fences.
 *
 * @param token the bearer token; undefined when the stream brought none
 * @throws UNAUTHENTICATED, POD_NOT_BOUND, POD_NOT_FOUND, POD_NOT_INJECTED; CtrlmeshError of the API client
 */
export async function authenticate(
  token: string | undefined,
  client: IdentityReader,
  signal: AbortSignal,
): Promise<PodIdentity> {
  if (token === undefined || token === "") {
    throw new CtrlmeshError("UNAUTHENTICATED", {
      what: "the stream brought no bearer token",
      hint: `send the projected token of audience ${controlAudience}`,
    });
  }
  const { namespace, name, uid } = boundPod(await review(token, client, signal));
  const pod = await readPod({ namespace, name }, client, signal);
  const found = pod?.metadata?.uid;
  if (found !== uid) {
    throw new CtrlmeshError("POD_NOT_FOUND", {
      where: `pod ${namespace}/${name}`,
      what: found === undefined ? "the pod is gone" : `the pod with UID ${uid} is gone, another has its name`,
    });
  }
  return identityOf(pod ?? {}, { namespace, name, uid });
}

/** The bearer token of an `authorization` header (RFC 6750 section 2.1). */
export function bearerToken(authorization: string | null | undefined): string | undefined {
  const match = /^Bearer ([^\s]+)$/i.exec(authorization ?? "");
  return match?.[1];
}

/** `status.user` of a review that says yes. */
async function review(
  token: string,
  client: IdentityReader,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const answer = await client.raw(
    "POST",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: [controlAudience] },
    },
    { signal },
  );
  const status = isRecord(answer) && isRecord(answer.status) ? answer.status : {};
  const audiences = Array.isArray(status.audiences) ? status.audiences : [];
  // An authenticator that knows no audiences answers without them: then nobody has checked ours.
  if (status.authenticated === true && audiences.includes(controlAudience) && isRecord(status.user)) {
    return status.user;
  }
  const reason = typeof status.error === "string" && status.error !== "" ? `: ${status.error}` : "";
  throw new CtrlmeshError("UNAUTHENTICATED", {
    what: `the API server does not accept the token for audience ${controlAudience}${reason}`,
    hint: "a projected token of that audience is mounted into the proxy at injection",
  });
}

function boundPod(user: Readonly<Record<string, unknown>>): { namespace: string; name: string; uid: string } {
  const username = typeof user.username === "string" ? user.username : "";
  const [namespace = "", account = "", ...rest] = username.startsWith(accountPrefix)
    ? username.slice(accountPrefix.length).split(":")
    : [];
  const isAccount = namespace !== "" && account !== "" && rest.length === 0;
  const extra = isRecord(user.extra) ? user.extra : {};
  const name = soleText(extra[podNameExtra]);
  const uid = soleText(extra[podUidExtra]);
  if (isAccount && name !== undefined && uid !== undefined) {
    return { namespace, name, uid };
  }
  throw new CtrlmeshError("POD_NOT_BOUND", {
    where: username === "" ? "token" : `token of ${username}`,
    what: "the token is not bound to a pod",
    hint: "use the projected token that injection mounts, not one of a Secret",
  });
}

function soleText(value: unknown): string | undefined {
  const [text, ...rest]: readonly unknown[] = Array.isArray(value) ? value : [];
  return typeof text === "string" && text !== "" && rest.length === 0 ? text : undefined;
}

async function readPod(
  name: { namespace: string; name: string },
  client: IdentityReader,
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  try {
    return await client.get(podKind, name, { signal });
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND")) return undefined;
    throw thrown;
  }
}

function identityOf(
  pod: KubernetesObject,
  bound: { namespace: string; name: string; uid: string },
): PodIdentity {
  const where = `pod ${bound.namespace}/${bound.name}`;
  const status = isRecord(pod.status) ? pod.status : {};
  if (status.phase === "Succeeded" || status.phase === "Failed") {
    throw new CtrlmeshError("POD_NOT_FOUND", { where, what: `the pod has ended (${status.phase})` });
  }
  const shard = pod.metadata?.labels?.[labels.shardingConfigInjected];
  if (shard === undefined || shard === "") {
    throw new CtrlmeshError("POD_NOT_INJECTED", {
      where,
      what: "the pod was not injected",
      hint: "opt its namespace in and recreate the pod",
    });
  }
  return { ...bound, podIp: typeof status.podIP === "string" ? status.podIP : "", shard };
}
