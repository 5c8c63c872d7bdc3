import { group } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { object, optional } from "./schema/object.ts";
import { flag, integer, largestCount, oneOf, text } from "./schema/scalars.ts";
import type { TypeOf } from "./schema/schema.ts";

/**
 * OwnershipLedger: who owns what, one object per group of shards (`ownership.md` section 2). Snapshots are
 * derived from it and from nothing else.
 *
 * It is a kind of its own and not the status of a ShardingConfig, because it spans several of them, must
 * survive the deletion of any of them, and is written by compare-and-swap on its resourceVersion before a
 * grant leaves the manager: a status that others patch would make every such write a conflict. It has no
 * status subresource for the same reason: one write changes all of it or nothing.
 */

const count = (description: string) => integer(description, { minimum: 0, maximum: largestCount });

const atomSchema = object(
  "Who owns one atom.",
  {
    atom: text("bucket/N, or namespace/NAME for a namespace that a selector of the group names.", {
      maxLength: 73,
      pattern: /^(bucket\/([0-9]|[12][0-9]|3[01])|namespace\/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/,
      patternHint: "use bucket/0 to bucket/31, or namespace/ and a namespace's name",
    }),
    shard: text("Shard that holds the atom or gives it up; empty when Free.", { maxLength: 253 }),
    state: oneOf("Held; Revoking while its holders give it up; Free when nobody may act on it.", [
      "Held",
      "Revoking",
      "Free",
    ]),
    epoch: count("Number of the atom's last grant; 0 before the first."),
  },
  {
    rules: [
      {
        cel: "(self.state == 'Free') == (size(self.shard) == 0)",
        message: "a Free atom has no shard, any other has one",
        fieldPath: ".shard",
        holds: ({ state, shard }) => (state === "Free") === (shard === ""),
      },
    ],
  },
);

const limitSchema = object("Resources and the selector that their lists and watches get.", {
  groups: list(
    "API groups; * alone is every group.",
    text("API group, empty for core.", { maxLength: 253 }),
    {
      maxItems: 256,
    },
  ),
  resources: list("Plural names; * alone is every resource.", text("Resource.", { maxLength: 253 }), {
    maxItems: 1024,
  }),
  selector: text("Label selector in its text form; never empty.", { minLength: 1, maxLength: 524288 }),
});

const holderSchema = object("A running pod of the shard that may act on what the shard holds.", {
  pod: text("Name of the pod.", { minLength: 1, maxLength: 253 }),
  uid: text("UID of the pod.", { minLength: 1, maxLength: 128 }),
  lost: optional(
    list(
      "Atoms that were taken from this pod while it ran: its proxy fences them until the pod ends.",
      text("Name of an atom.", { minLength: 1, maxLength: 73 }),
      { maxItems: 8192 },
    ),
  ),
  prior: optional(flag("The pod keeps the shard's prior view until it ends.")),
  unbound: optional(
    flag("The pod has a credential that outlives it: only its seen termination proves that it ended."),
  ),
});

const unfilteredSchema = list(
  "Resources that pass unfiltered although a limit's wildcard matches them.",
  object("A resource.", {
    group: text("API group, empty for core.", { maxLength: 253 }),
    resource: text("Plural name.", { minLength: 1, maxLength: 253 }),
  }),
  { maxItems: 4096 },
);

const shardSchema = object("What is in force for the pods of one shard.", {
  name: text("Name of the ShardingConfig.", { minLength: 1, maxLength: 253 }),
  onLoss: oneOf("When a lost atom counts as released.", ["Restart", "Relist"]),
  settleSeconds: integer("Wait after the last relist before the next shard is granted the atoms.", {
    minimum: 0,
    maximum: 3600,
  }),
  limits: list("The view in force.", limitSchema, { maxItems: 256 }),
  unfilteredResources: unfilteredSchema,
  withdrawn: optional(flag("Its ShardingConfig is gone: its pods are refused everything.")),
  prior: optional(
    object("The view before, which would show deletions if it were replaced in a running operator.", {
      limits: list("Its limits.", limitSchema, { maxItems: 256 }),
      unfilteredResources: unfilteredSchema,
    }),
  ),
  holders: list(
    "Pods that hold atoms of this shard; each counts as live until it is seen to be gone.",
    holderSchema,
    {
      maxItems: 4096,
      keys: ["uid"],
    },
  ),
});

const ledger = kindOf(
  {
    group,
    version: "v1alpha1",
    kind: "OwnershipLedger",
    plural: "ownershipledgers",
    singular: "ownershipledger",
    shortNames: ["ledger"],
    scope: "Namespaced",
    statusSubresource: false,
    columns: [
      { name: "Group", type: "string", jsonPath: ".spec.group", description: "Group of shards." },
      { name: "Term", type: "integer", jsonPath: ".spec.term", description: "Leadership that wrote last." },
      { name: "Epoch", type: "integer", jsonPath: ".spec.epoch", description: "Highest epoch given." },
      { name: "Hash", type: "string", jsonPath: ".spec.hash", description: "Hash function.", wide: true },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "Who owns which buckets and namespaces. Written by the manager only; never edit or delete one while pods of its shards run.",
  {
    spec: object("The ledger.", {
      group: text("Name of the group of shards.", { minLength: 1, maxLength: 253 }),
      hash: oneOf("Function that puts namespaces into buckets.", ["murmur3", "additive"]),
      term: count("Leadership of the manager that wrote last."),
      epoch: count("Highest epoch given to an atom of this group."),
      atoms: list("Every atom of the group.", atomSchema, { maxItems: 8192, keys: ["atom"] }),
      shards: list("Every shard of the group that holds, held or will hold atoms.", shardSchema, {
        maxItems: 256,
        keys: ["name"],
      }),
    }),
  },
);

export type OwnershipLedger = ReturnType<typeof ledger.parse>;
export type LedgerAtom = TypeOf<typeof atomSchema>;
export type LedgerLimit = TypeOf<typeof limitSchema>;
export type LedgerHolder = TypeOf<typeof holderSchema>;
export type LedgerShard = TypeOf<typeof shardSchema>;

export const ownershipLedgerDefinition = ledger.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseOwnershipLedger(value: unknown): OwnershipLedger {
  return ledger.parse(value);
}
