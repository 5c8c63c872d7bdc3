import { group } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { isEmptySelector, labelSelector, objectName } from "./schema/metav1.ts";
import { defaulted, object, optional } from "./schema/object.ts";
import { integer, oneOf, text } from "./schema/scalars.ts";
import type { TypeOf } from "./schema/schema.ts";
import { limiter, root } from "./sharding-config-root.ts";
import { shardingStatus } from "./sharding-config-status.ts";

/**
 * ShardingConfig: one shard of an operator, or (with `root`) a template that makes the shards. Fields and
 * words are the original's (`spec/ctrlmesh.md` 1.1); onLoss, handover, unreachable, writeFence, access,
 * leaderElectionNamespace and balance are ours and optional.
 */

/** CEL: a member is as it was. Null, for which `has` is false, and absent are the same. */
const unchanged = (path: string, equal = `self.${path} == oldSelf.${path}`): string =>
  `(has(self.${path}) == has(oldSelf.${path}) && (!has(self.${path}) || (${equal})))`;

const selectorUnchanged = unchanged(
  "selector",
  `${unchanged("selector.matchLabels")} && ${unchanged("selector.matchExpressions")}`,
);

const spec = object(
  "What is wanted.",
  {
    selector: optional(
      labelSelector("Pods of this namespace that are the shard. Cannot be changed, except on a root."),
    ),
    controller: optional(
      object("Present: the operator's leader election lock is renamed, one per shard.", {
        leaderElectionName: objectName("Name of the lock that the operator uses."),
        leaderElectionNamespace: optional(
          objectName("Namespace of the lock, when it is not the pod's own.", 63),
        ),
      }),
    ),
    webhook: optional(
      object("The operator's own admission webhook.", {
        certDir: text("Directory of its serving certificate in the operator's container.", {
          minLength: 1,
          maxLength: 4096,
        }),
        port: integer("Port that it listens on.", { minimum: 1, maximum: 65535 }),
      }),
    ),
    limits: optional(list("What the shard sees.", limiter, { maxItems: 64 })),
    root: optional(root),
    onLoss: defaulted(
      oneOf(
        "When objects that move to another shard count as released. Restart: when each operator process that saw them has ended. Relist: when its informers have listed again and handover.settleSeconds have passed.",
        ["Restart", "Relist"],
      ),
      "Restart",
    ),
    handover: defaulted(
      object("How objects move to another shard.", {
        settleSeconds: defaulted(
          integer("Wait after the last relist before the next shard may act (onLoss: Relist).", {
            minimum: 0,
            maximum: 3600,
          }),
          30,
        ),
      }),
      {},
    ),
    unreachable: defaulted(
      oneOf(
        "When a pod cannot be reached. Wait: its objects stay with it. Fence: its right to act lapses by itself, then they move.",
        ["Wait", "Fence"],
      ),
      "Wait",
    ),
    writeFence: defaulted(
      oneOf(
        "Which writes the proxy refuses. Moved: to what was moved away. Always: to all that is not the shard's. Server: the API server refuses them too.",
        ["Moved", "Always", "Server"],
      ),
      "Moved",
    ),
  },
  {
    rules: [
      {
        cel: "has(self.root) || (has(self.selector) && ((has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)))",
        message: "selector must choose pods, else the shard would take every pod of the namespace",
        fieldPath: ".selector",
        holds: ({ root: template, selector }) => template !== undefined || !isEmptySelector(selector),
      },
      {
        cel: "has(self.root) || (has(self.limits) && size(self.limits) > 0)",
        message: "limits must have at least one entry, else the shard would have no rules at all",
        fieldPath: ".limits",
        holds: ({ root: template, limits = [] }) => template !== undefined || limits.length > 0,
      },
      {
        cel: `has(self.root) || has(oldSelf.root) || ${selectorUnchanged}`,
        message: "selector cannot be changed: delete this ShardingConfig and create another one",
        fieldPath: ".selector",
      },
    ],
  },
);

const shardingConfig = kindOf(
  {
    group,
    version: "v1alpha1",
    kind: "ShardingConfig",
    plural: "shardingconfigs",
    singular: "shardingconfig",
    shortNames: ["shard"],
    scope: "Namespaced",
    statusSubresource: true,
    columns: [
      { name: "Pods", type: "string", jsonPath: ".status.podsReady", description: "Ready pods of all pods." },
      {
        name: "Owned",
        type: "string",
        jsonPath: ".status.atoms.held",
        description: "What the shard owns now.",
      },
      {
        name: "Pending",
        type: "string",
        jsonPath: ".status.atoms.pending",
        description: "What it waits for.",
      },
      {
        name: "Ready",
        type: "string",
        jsonPath: '.status.conditions[?(@.type=="Ready")].status',
        description: "Whether everything wanted is in force.",
      },
      {
        name: "Reason",
        type: "string",
        jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
        description: "Why it is ready or not.",
        wide: true,
      },
      {
        name: "Revoking",
        type: "string",
        jsonPath: ".status.atoms.revoking",
        description: "What it gives up.",
        wide: true,
      },
      {
        name: "Epoch",
        type: "integer",
        jsonPath: ".status.epoch",
        description: "Highest epoch.",
        wide: true,
      },
      {
        name: "Lock",
        type: "string",
        jsonPath: ".spec.controller.leaderElectionName",
        description: "Leader election lock of the operator.",
        wide: true,
      },
      {
        name: "On-Loss",
        type: "string",
        jsonPath: ".spec.onLoss",
        description: "When moved objects count as released.",
        wide: true,
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "One shard of an operator: its pods and the objects that they see.",
  { spec, status: optional(shardingStatus) },
  [
    {
      cel: "size(self.metadata.name) <= 63",
      message: "the name becomes a label value of the shard's pods: use at most 63 characters",
      fieldPath: ".metadata",
      holds: ({ metadata }) => metadata.name.length <= 63,
    },
  ],
);

export type ShardingConfig = ReturnType<typeof shardingConfig.parse>;
export type ShardingConfigSpec = TypeOf<typeof spec>;
export type ShardingConfigStatus = TypeOf<typeof shardingStatus>;
/** An entry of `limits` or `root.resourceSelector`. */
export type ObjectLimiter = TypeOf<typeof limiter>;
export type RootSharding = TypeOf<typeof root>;

export const shardingConfigDefinition = shardingConfig.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseShardingConfig(value: unknown): ShardingConfig {
  return shardingConfig.parse(value);
}
