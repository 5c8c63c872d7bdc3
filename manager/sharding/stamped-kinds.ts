import { wellKnown } from "#api/names";
import { isApiError, isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { mutatingPolicyKind } from "./admission-policy.ts";
import { kindIdentity } from "./published-schemas.ts";

/**
 * Kinds (`kindIdentity`) that the stamp policy in the API server names; none when there is no policy, or no such
 * kind of policy.
 */
export async function stampedKinds(client: KubeClient, call: CallOptions): Promise<readonly string[]> {
  try {
    const { spec } = await client.get(mutatingPolicyKind, { name: wellKnown.stampPolicy }, call);
    const constraints = isRecord(spec) && isRecord(spec.matchConstraints) ? spec.matchConstraints : {};
    return entriesOf(constraints, "resourceRules").flatMap(kindsOfRule);
  } catch (failed) {
    if (isApiError(failed, "API_NOT_FOUND")) return [];
    throw failed;
  }
}

function kindsOfRule(rule: unknown): string[] {
  return textsOf(rule, "apiGroups").flatMap((group) =>
    textsOf(rule, "apiVersions").flatMap((version) =>
      textsOf(rule, "resources").map((resource) => kindIdentity({ group, version, resource })),
    ),
  );
}

function textsOf(rule: unknown, member: string): string[] {
  return isRecord(rule) ? entriesOf(rule, member).filter((entry) => typeof entry === "string") : [];
}

function entriesOf(record: Record<string, unknown>, member: string): unknown[] {
  const value = record[member];
  return Array.isArray(value) ? value : [];
}
