import { wellKnown } from "#api/names";
import type { ResourceKind } from "#kube/client/client";
import {
  mutatingBindingKind,
  mutatingPolicyKind,
  supportsMutatingPolicies,
  supportsValidatingPolicies,
  validatingBindingKind,
  validatingPolicyKind,
} from "#manager/sharding/admission-policy";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";
import { limitedKinds } from "./manager-rights.ts";
import { memberOf, readIfThere } from "./read.ts";

interface ExpectedPolicy {
  readonly policyKind: ResourceKind;
  readonly bindingKind: ResourceKind;
  readonly name: string;
  readonly bindings: readonly string[];
  /** What does not happen without it. */
  readonly purpose: string;
}

/** Admission policies: each that this API server can have is there and bound. */
export const policiesCheck: Check = {
  name: "policies",
  phases: ["after"],
  run: async (context) => {
    const expected = await expectedPolicies(context);
    const findings = await Promise.all(expected.map((policy) => judgePolicy(policy, context)));
    return { summary: `${expected.length} policies with their bindings`, findings: findings.flat() };
  },
};

async function expectedPolicies(context: CheckContext): Promise<ExpectedPolicy[]> {
  const { client, signal } = context;
  const [mutating, validating] = await Promise.all([
    supportsMutatingPolicies(client, { signal }),
    supportsValidatingPolicies(client, { signal }),
  ]);
  const stamps = limitedKinds(context).length > 0;
  return [
    ...(mutating ? mutatingPolicies.filter(({ name }) => stamps || name !== wellKnown.stampPolicy) : []),
    ...(validating ? validatingPolicies : []),
  ];
}

const mutatingPolicies: readonly ExpectedPolicy[] = [
  {
    policyKind: mutatingPolicyKind,
    bindingKind: mutatingBindingKind,
    name: wellKnown.stampPolicy,
    bindings: [wellKnown.stampPolicy],
    purpose: "new objects get no shard labels at their creation",
  },
  {
    policyKind: mutatingPolicyKind,
    bindingKind: mutatingBindingKind,
    name: wellKnown.optInPolicy,
    bindings: [wellKnown.optInPolicy],
    purpose: "a namespace's opt-in does not count at once",
  },
];

const validatingPolicies: readonly ExpectedPolicy[] = [
  {
    policyKind: validatingPolicyKind,
    bindingKind: validatingBindingKind,
    name: wellKnown.protectLabelsPolicy,
    bindings: [wellKnown.protectLabelsPolicy],
    purpose: "anybody who may change a namespace may move its objects",
  },
  {
    policyKind: validatingPolicyKind,
    bindingKind: validatingBindingKind,
    name: wellKnown.requireProxyPolicy,
    bindings: [`${wellKnown.requireProxyPolicy}-namespaces`, `${wellKnown.requireProxyPolicy}-pods`],
    purpose: "an operator's pod can start without its proxy",
  },
];

async function judgePolicy(
  { policyKind, bindingKind, name, bindings, purpose }: ExpectedPolicy,
  { client, signal }: CheckContext,
): Promise<Finding[]> {
  const where = `${policyKind.resource} ${name}`;
  const remedy = "the manager writes it within two minutes: see that one leads";
  if ((await readIfThere(client, policyKind, { name }, { signal })) === undefined) {
    const what = `it is not there: ${purpose}`;
    return [{ level: "error", code: "PolicyMissing", where, what, remedy }];
  }
  const bound = await Promise.all(
    bindings.map(async (each) => {
      const binding = await readIfThere(client, bindingKind, { name: each }, { signal });
      return { each, isRight: memberOf(binding?.spec, "policyName") === name };
    }),
  );
  const missing = bound.filter(({ isRight }) => !isRight).map(({ each }) => each);
  if (missing.length === 0) return [];
  const what = `it is not bound, since ${missing.join(", ")} is missing or binds another policy: ${purpose}`;
  return [{ level: "error", code: "PolicyUnbound", where, what, remedy }];
}
