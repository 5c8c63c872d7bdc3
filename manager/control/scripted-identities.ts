import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { controlAudience, labels } from "#api/names";
import type { ObjectName, ResourceKind } from "#kube/client/client";
import type { IdentityReader } from "./authenticate.ts";

/** Tokens and pods of an API server, for tests: reviews what it was told, and answers with the pods that it has. */
export class ScriptedIdentities implements IdentityReader {
  readonly #pods = new Map<string, KubernetesObject>();
  /** Token to `status` of its review; any other token is answered as the API server does for an unknown one. */
  readonly reviews = new Map<string, unknown>();
  /** Bodies of all reviews. */
  readonly reviewed: unknown[] = [];
  /** Called before each answer; throwing or waiting makes it fail or wait. */
  before: (call: "review" | "pod", signal: AbortSignal) => void | Promise<void> = () => undefined;

  /** A running, injected pod `ops/NAME` with UID `uid-NAME` and the token `token-NAME`. */
  admit(name: string): void {
    this.putPod(name, {});
    this.reviews.set(`token-${name}`, acceptedReview(name, {}));
  }

  putPod(name: string, pod: KubernetesObject): void {
    const { metadata, ...rest } = pod;
    this.#pods.set(name, {
      status: { phase: "Running", podIP: "10.0.0.7" },
      ...rest,
      metadata: {
        name,
        namespace: "ops",
        uid: `uid-${name}`,
        labels: { [labels.shardingConfigInjected]: "a" },
        ...metadata,
      },
    });
  }

  deletePod(name: string): void {
    this.#pods.delete(name);
  }

  async raw(
    method: "GET" | "POST",
    path: string,
    body: unknown,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<unknown> {
    if (`${method} ${path}` !== "POST /apis/authentication.k8s.io/v1/tokenreviews") {
      throw new CtrlmeshError("INTERNAL", { what: `unexpected call ${method} ${path}` });
    }
    await this.before("review", signal);
    this.reviewed.push(body);
    const token = tokenOf(body);
    return { status: this.reviews.get(token) ?? { error: "token lookup failed" } };
  }

  async get(
    { resource }: ResourceKind,
    { namespace, name }: ObjectName,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<KubernetesObject> {
    await this.before("pod", signal);
    const pod = resource === "pods" && namespace === "ops" ? this.#pods.get(name) : undefined;
    if (pod === undefined) throw new CtrlmeshError("API_NOT_FOUND", { what: `${resource} ${name}` });
    return pod;
  }
}

/** `status` of a review that accepts the token of a pod. */
export function acceptedReview(
  pod: string,
  user: Readonly<Record<string, unknown>>,
): { readonly authenticated: true; readonly audiences: readonly string[]; readonly user: unknown } {
  return {
    authenticated: true,
    audiences: [controlAudience],
    user: {
      username: "system:serviceaccount:ops:operator",
      extra: {
        "authentication.kubernetes.io/pod-name": [pod],
        "authentication.kubernetes.io/pod-uid": [`uid-${pod}`],
      },
      ...user,
    },
  };
}

function tokenOf(body: unknown): string {
  const spec = typeof body === "object" && body !== null && "spec" in body ? body.spec : undefined;
  const token = typeof spec === "object" && spec !== null && "token" in spec ? spec.token : undefined;
  return typeof token === "string" ? token : "";
}
