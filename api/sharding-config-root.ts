import { list } from "./schema/collections.ts";
import { labelSelector, objectName } from "./schema/metav1.ts";
import { assumed, defaulted, object, optional } from "./schema/object.ts";
import { flag, integer, oneOf, text } from "./schema/scalars.ts";

/** `limits` and `root` of a ShardingConfig: which objects a shard sees, and the template that makes shards. */

const relatedResources = object("Resources of some API groups.", {
  apiGroups: optional(
    list(
      "API groups; empty text is the core group. '*' as the only entry is every group.",
      text("API group.", {
        maxLength: 253,
        pattern: /^(\*|[a-z0-9.-]*)$/,
        patternHint: "use lower case or '*'",
      }),
      { maxItems: 64 },
    ),
  ),
  resources: optional(
    list(
      "Plural names in lower case. '*' as the only entry is every resource.",
      text("Resource.", {
        minLength: 1,
        maxLength: 253,
        pattern: /^(\*|[a-z0-9.-]+)(\/(\*|[a-z0-9.-]+))?$/,
        patternHint: "use the plural name in lower case, such as configmaps, or '*'",
      }),
      { maxItems: 256 },
    ),
  ),
  access: assumed(
    oneOf(
      "Owned (also when absent): filtered by the selector. Shared: read by every shard without filter, written only by the owner's.",
      ["Owned", "Shared"],
    ),
    "Owned",
  ),
});

export const limiter = object("Which objects of some resources the shard sees.", {
  relateResources: optional(
    list("Resources that the selector applies to; none means every resource.", relatedResources, {
      maxItems: 64,
    }),
  ),
  selector: optional(labelSelector("Selector of the objects; none means no filter.")),
});

const bucketText = text("Bucket 0 to 31.", {
  maxLength: 2,
  pattern: /^([0-9]|[12][0-9]|3[01])$/,
  patternHint: 'use "0" to "31", in quotes',
});

// Both criteria at once are accepted, since YAML of the originals may have them: the canary of objects that meet
// either. No one label selector can say so; two limits can.
const canary = object(
  "Shard that is upgraded first.",
  {
    replicas: integer("Pods with the lowest ordinals that are the canary; 0 means no canary.", {
      minimum: 0,
      maximum: 10000,
    }),
    inNamespaces: optional(
      list("Namespaces of the canary.", objectName("Namespace.", 63), { maxItems: 1024 }),
    ),
    inShardHash: optional(list("Buckets of the canary.", bucketText, { maxItems: 32 })),
  },
  {
    rules: [
      {
        cel: "(has(self.inNamespaces) && size(self.inNamespaces) > 0) || (has(self.inShardHash) && size(self.inShardHash) > 0)",
        message: "canary needs inNamespaces or inShardHash, else it would own nothing",
        holds: ({ inNamespaces = [], inShardHash = [] }) => inNamespaces.length + inShardHash.length > 0,
      },
    ],
  },
);

export const root = object(
  "Makes this object a template for child ShardingConfigs; it matches no pods itself.",
  {
    disable: optional(flag("true deletes the children.")),
    // A child's name, <prefix>-<number>-normal, becomes a label value of its pods: at most 63 characters.
    prefix: objectName("Prefix of the children's names.", 53),
    targetStatefulSet: objectName("StatefulSet whose pods the children share out by ordinal."),
    canary: optional(canary),
    auto: optional(
      object("Shards of equal size.", {
        shardingSize: integer("Number of shards; more than 32 buckets cannot be shared out.", {
          minimum: 1,
          maximum: 32,
        }),
        everyShardReplicas: integer("Pods of each shard.", { minimum: 1, maximum: 10000 }),
        balance: defaulted(
          oneOf("Buckets: equal numbers of buckets. Objects: by counted objects.", ["Buckets", "Objects"]),
          "Buckets",
        ),
      }),
    ),
    resourceSelector: optional(
      list("Limits of each child, extended by its buckets and namespaces.", limiter, { maxItems: 64 }),
    ),
  },
  {
    rules: [
      {
        cel: "!has(self.auto) || (has(self.disable) && self.disable) || (has(self.resourceSelector) && size(self.resourceSelector) > 0)",
        message: "resourceSelector must name the resources to shard, else the children would limit nothing",
        fieldPath: ".resourceSelector",
        holds: ({ auto, disable, resourceSelector = [] }) =>
          auto === undefined || disable === true || resourceSelector.length > 0,
      },
    ],
  },
);
