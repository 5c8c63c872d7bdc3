import type { CallOptions, KubeClient } from "#kube/client/client";
import { memberOf } from "./read.ts";

/** One question to the authorizer. */
export interface AccessQuestion {
  readonly verb: string;
  /** "" is the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Absent: in all namespaces, or cluster-scoped. */
  readonly namespace?: string;
  readonly name?: string;
}

const reviews = "/apis/authorization.k8s.io/v1";

/** Whether a service account may do something (SubjectAccessReview). @throws API_FORBIDDEN when we may not ask */
export async function mayServiceAccount(
  client: KubeClient,
  account: { readonly namespace: string; readonly name: string },
  question: AccessQuestion,
  call: CallOptions,
): Promise<boolean> {
  const { namespace, name } = account;
  const spec = {
    user: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
    resourceAttributes: question,
  };
  return await isAllowed(client, "SubjectAccessReview", spec, call);
}

/** Whether whoever asks may do something (SelfSubjectAccessReview). */
export async function mayWe(
  client: KubeClient,
  question: AccessQuestion,
  call: CallOptions,
): Promise<boolean> {
  return await isAllowed(client, "SelfSubjectAccessReview", { resourceAttributes: question }, call);
}

async function isAllowed(
  client: KubeClient,
  kind: string,
  spec: unknown,
  call: CallOptions,
): Promise<boolean> {
  const path = `${reviews}/${kind.toLowerCase()}s`;
  const answer = await client.raw("POST", path, { apiVersion: "authorization.k8s.io/v1", kind, spec }, call);
  return memberOf(answer, "status", "allowed") === true;
}

/** "patch shardingconfigs/status.ctrlmesh.kusionstack.io in ctrlmesh", as in kubectl auth can-i. */
export function questionText({
  verb,
  group,
  resource,
  subresource,
  namespace,
  name,
}: AccessQuestion): string {
  const path = `${resource}${group === "" ? "" : `.${group}`}${subresource === undefined ? "" : `/${subresource}`}`;
  return `${verb} ${path}${name === undefined ? "" : ` ${name}`}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
