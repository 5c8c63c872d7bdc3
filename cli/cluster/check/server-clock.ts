import type { CallOptions, KubeClient } from "#kube/client/client";
import { memberOf, textOf } from "./read.ts";

const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/**
 * What the API server's clock says, to a second: the creation time that it gives to a review that it does not store
 * (SelfSubjectReview, Kubernetes 1.28; anybody may create one). Undefined from a server that gives none.
 */
export async function readServerClock(client: KubeClient, call: CallOptions): Promise<number | undefined> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await client.raw("POST", path, review, call);
  const ms = Date.parse(textOf(memberOf(answer, "metadata", "creationTimestamp")) ?? "");
  return Number.isNaN(ms) ? undefined : ms;
}
