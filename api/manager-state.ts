import { group } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { object, optional } from "./schema/object.ts";
import { dateTime, flag, integer, largestCount, text } from "./schema/scalars.ts";

/** ManagerState: where the manager's replicas are. The object `ctrlmesh-manager` counts (`spec/ctrlmesh.md` 1.4). */

const port = (description: string) => integer(description, { minimum: 0, maximum: 65535 });

const endpoint = object("A replica.", {
  name: text("Pod.", { minLength: 1, maxLength: 253 }),
  podIP: text("Address of the pod.", { maxLength: 64 }),
  leader: flag("It leads: proxies connect to it."),
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
        updateTimestamp: optional(dateTime("When anything else in this status changed last.")),
      }),
    ),
  },
);

export type ManagerState = ReturnType<typeof managerState.parse>;

export const managerStateDefinition = managerState.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseManagerState(value: unknown): ManagerState {
  return managerState.parse(value);
}
