import { list } from "./schema/collections.ts";
import { conditions, observedGeneration } from "./schema/metav1.ts";
import { object, optional } from "./schema/object.ts";
import { flag, integer, largestCount, text } from "./schema/scalars.ts";

/** `status` of a ShardingConfig. Only `root` is the original's (its defect D61: nothing was reported). */

const podStatus = object("A pod of the shard.", {
  name: text("Name.", { minLength: 1, maxLength: 253 }),
  uid: text("UID.", { minLength: 1, maxLength: 128 }),
  connected: optional(flag("Its proxy has a stream to the manager now.")),
  ready: optional(flag("The pod is ready.")),
  ackedTerm: optional(
    integer("Term of the last snapshot that it acknowledged.", { minimum: 0, maximum: largestCount }),
  ),
  ackedRevision: optional(
    integer("Revision of the last snapshot that it acknowledged.", { minimum: 0, maximum: largestCount }),
  ),
  proxyVersion: optional(text("Version of its proxy.", { maxLength: 128 })),
});

const atomsText = (description: string) => optional(text(description, { maxLength: 65536 }));

export const shardingStatus = object("What is seen.", {
  observedGeneration: optional(observedGeneration),
  conditions: optional(conditions("Facts about the shard; Ready is the sum of them.")),
  podsReady: optional(text("Ready pods of all pods, such as 2/2.", { maxLength: 32 })),
  pods: optional(list("Pods of the shard.", podStatus, { maxItems: 4096, keys: ["uid"] })),
  epoch: optional(integer("Highest epoch given to this shard.", { minimum: 0, maximum: largestCount })),
  atoms: optional(
    object("Buckets and namespaces of the shard, as text for people.", {
      held: atomsText("Owned now."),
      pending: atomsText("Wanted, but another shard still has them."),
      revoking: atomsText("Being given up."),
    }),
  ),
  coverage: optional(
    object("Whether every object that the shard should see carries its labels.", {
      labelled: optional(flag("No unlabelled object is left.")),
      unlabelledObjects: optional(
        integer("Objects without labels at the last count.", { minimum: 0, maximum: largestCount }),
      ),
      stuck: optional(
        list(
          "Objects that refuse their labels, with the reason.",
          text("Resource, namespace, name and reason.", { maxLength: 2048 }),
          { maxItems: 100 },
        ),
      ),
    }),
  ),
  root: optional(
    object("On a root: what was made of it.", {
      childShardingConfigs: optional(
        list("Names of the children, canary first.", text("Name.", { maxLength: 253 }), { maxItems: 64 }),
      ),
    }),
  ),
});
