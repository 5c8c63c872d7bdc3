import { group } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { object, optional } from "./schema/object.ts";
import { dateTime, flag, integer, largestCount, oneOf, text } from "./schema/scalars.ts";
import type { TypeOf } from "./schema/schema.ts";

/** ManagerState: where the manager's replicas are. The object `ctrlmesh-manager` counts (`spec/ctrlmesh.md` 1.4). */

const port = (description: string) => integer(description, { minimum: 0, maximum: 65535 });

const endpoint = object("A replica.", {
  name: text("Pod.", { minLength: 1, maxLength: 253 }),
  podIP: text("Address of the pod.", { maxLength: 64 }),
  leader: flag("It leads: proxies connect to it."),
});

const labelKey = (description: string) => text(description, { minLength: 1, maxLength: 317 });

// What others must know to judge labels as the manager does; its flags are nobody else's to read.
const shardingSettings = object("How the manager that leads shards.", {
  hash: oneOf("Function that puts namespaces into buckets.", ["murmur3", "additive"]),
  labels: object("Keys of the shard labels.", {
    hash: labelKey("Label with the bucket."),
    namespace: labelKey("Label with the namespace's name."),
    control: labelKey("Label of all that is managed."),
  }),
  exemptNamespaces: list(
    "Namespaces that are neither labelled nor sharded.",
    text("Namespace.", { minLength: 1, maxLength: 63 }),
    { maxItems: 1024 },
  ),
});

const managerState = kindOf(
  {
    group,
    version: "v1alpha1",
    kind: "ManagerState",
    plural: "managerstates",
    singular: "managerstate",
    shortNames: [],
    scope: "Cluster",
    statusSubresource: true,
    columns: [
      {
        name: "Leader",
        type: "string",
        jsonPath: ".status.endpoints[?(@.leader==true)].name",
        description: "Pod that leads.",
      },
      {
        name: "Namespace",
        type: "string",
        jsonPath: ".status.namespace",
        description: "Namespace of the manager.",
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "Where the manager's replicas are, and which one leads.",
  {
    spec: optional(object("Empty.", {})),
    status: optional(
      object("What is seen.", {
        namespace: optional(text("Namespace of the manager.", { maxLength: 63 })),
        endpoints: optional(list("Replicas by name.", endpoint, { maxItems: 64, keys: ["name"] })),
        ports: optional(
          object("Ports of the control stream.", {
            grpcLeaderElectionPort: optional(port("Of the leader.")),
            grpcNonLeaderElectionPort: optional(port("Of every replica.")),
          }),
        ),
        term: optional(
          integer("Number of the leadership that counts; it only grows.", {
            minimum: 0,
            maximum: largestCount,
          }),
        ),
        version: optional(text("Version of the manager that leads.", { minLength: 1, maxLength: 128 })),
        sharding: optional(shardingSettings),
        updateTimestamp: optional(dateTime("When anything else in this status changed last.")),
      }),
    ),
  },
);

export type ManagerState = ReturnType<typeof managerState.parse>;

export type ShardingSettings = TypeOf<typeof shardingSettings>;

export const managerStateDefinition = managerState.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseManagerState(value: unknown): ManagerState {
  return managerState.parse(value);
}
