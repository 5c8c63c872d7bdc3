import { meshGroup } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { observedGeneration } from "./schema/metav1.ts";
import { object, optional, optionalOrNull } from "./schema/object.ts";
import { dateTime, integer, largestCount, oneOf, text } from "./schema/scalars.ts";

/**
 * MeshPeer: a peer of the mesh and how it is seen (`spec/meshpeer.md` 1.1). The schema takes any text as key,
 * since the documented example carries a placeholder: a text that is no key shows as condition InvalidKey.
 */

const condition = object("What is seen, as one fact.", {
  type: text("Ready, NotReady, Unknown, Unavailable or InvalidKey.", { minLength: 1, maxLength: 316 }),
  status: oneOf("Whether it holds.", ["True", "False", "Unknown"]),
  reason: optionalOrNull(text("Reason in one word.", { maxLength: 1024 })),
  message: optionalOrNull(text("Reason in a sentence.", { maxLength: 32768 })),
  lastTransitionTime: optionalOrNull(dateTime("When the status changed last.")),
  observedGeneration: optional(observedGeneration),
});

const meshPeer = kindOf(
  {
    group: meshGroup,
    version: "v1",
    kind: "MeshPeer",
    plural: "meshpeers",
    singular: "meshpeer",
    shortNames: [],
    scope: "Namespaced",
    statusSubresource: true,
    columns: [
      { name: "Zone", type: "string", jsonPath: ".status.instance.zone", description: "Zone of the peer." },
      { name: "Status", type: "string", jsonPath: ".status.status", description: "How the peer is seen." },
      {
        name: "Endpoints",
        type: "string",
        jsonPath: ".spec.identity.endpoints",
        description: "Addresses.",
        wide: true,
      },
      {
        name: "Started",
        type: "date",
        jsonPath: ".status.instance.start_time",
        description: "Since the peer started.",
        wide: true,
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "A peer of the mesh, one per zone.",
  {
    spec: object("Who the peer is.", {
      identity: object("Key and addresses.", {
        publicKey: text("Ed25519 public key, 64 hexadecimal digits.", { minLength: 1, maxLength: 128 }),
        endpoints: optional(
          list("Addresses to dial, host:port.", text("host:port.", { minLength: 1, maxLength: 262 }), {
            maxItems: 64,
          }),
        ),
      }),
    }),
    status: optionalOrNull(
      object("How the peer is seen.", {
        observedGeneration: optional(observedGeneration),
        status: oneOf("State.", ["Ready", "NotReady", "Unknown", "Unavailable"]),
        updateTime: optional(dateTime("When the state was reported last.")),
        conditions: optional(
          list("Facts; exactly one state is True.", condition, { maxItems: 64, keys: ["type"] }),
        ),
        instance: optionalOrNull(
          object("The running process, known once it was heard.", {
            zone: text("Its zone.", { maxLength: 253 }),
            start_time: dateTime("When it started."),
            start_timestamp: optional(
              integer("The same in milliseconds since 1970.", { minimum: 0, maximum: largestCount }),
            ),
          }),
        ),
      }),
    ),
  },
);

export type MeshPeer = ReturnType<typeof meshPeer.parse>;

export const meshPeerDefinition = meshPeer.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseMeshPeer(value: unknown): MeshPeer {
  return meshPeer.parse(value);
}
