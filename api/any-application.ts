import { meshGroup } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { object, optional } from "./schema/object.ts";
import { flag, integer, largestCount, text } from "./schema/scalars.ts";

/**
 * AnyApplication: an application placed in zones (`spec/meshpeer.md` 1.2). Another operator owns the kind and
 * has several revisions of it, so words such as states are not checked, and every object is open: fields that
 * are not listed here are kept by the API server and by the reader (the original loses them).
 */

const open = { open: true } as const;
const name = (description: string) => text(description, { maxLength: 1024 });
const whole = (description: string) =>
  integer(description, { minimum: -largestCount, maximum: largestCount });

const helm = object(
  "A Helm chart.",
  {
    repository: name("Repository."),
    chart: name("Chart."),
    version: name("Version of the chart."),
    namespace: name("Namespace to install into."),
    releaseName: optional(name("Name of the release.")),
    values: optional(text("Values, as YAML text.", { maxLength: 1048576 })),
    skipCrds: optional(flag("Leave out the chart's CRDs.")),
    parameters: optional(
      list(
        "Single values.",
        object(
          "A value.",
          {
            name: optional(name("Path.")),
            value: optional(text("Value.", { maxLength: 65536 })),
            forceString: optional(flag("Take the value as text.")),
          },
          open,
        ),
        { maxItems: 1024 },
      ),
    ),
  },
  open,
);

const syncPolicy = object(
  "How differences are mended.",
  {
    automated: optional(
      object(
        "By itself.",
        {
          prune: optional(flag("Delete what is not wanted.")),
          selfHeal: optional(flag("Undo changes by others.")),
          allowEmpty: optional(flag("Accept that nothing is wanted.")),
        },
        open,
      ),
    ),
    retry: optional(
      object(
        "After a failure.",
        {
          limit: optional(whole("Tries.")),
          backoff: optional(
            object(
              "Pauses.",
              {
                duration: optional(name("First pause.")),
                factor: optional(whole("Growth.")),
                maxDuration: optional(name("Longest pause.")),
              },
              open,
            ),
          ),
        },
        open,
      ),
    ),
    syncOptions: optional(list("Options.", name("Option."), { maxItems: 256 })),
  },
  open,
);

const spec = object(
  "What is wanted.",
  {
    zones: whole("Number of zones that run it."),
    source: object("What is installed.", { helm: optional(helm) }, open),
    placementStrategy: optional(
      object("How zones are chosen.", { strategy: name("Such as Local or Global.") }, open),
    ),
    recoverStrategy: optional(
      object(
        "When zones fail.",
        { tolerance: optional(whole("Failed zones that are borne.")), maxRetries: optional(whole("Tries.")) },
        open,
      ),
    ),
    syncPolicy: optional(syncPolicy),
  },
  open,
);

const zone = object(
  "State in one zone, written by that zone.",
  {
    zoneId: name("Zone."),
    version: whole("Counter of the zone that writes it."),
    chartVersion: optional(name("Installed version.")),
    conditions: optional(
      list(
        "Facts.",
        object(
          "A fact.",
          {
            zoneId: name("Zone."),
            type: name("Name of the fact."),
            status: name("Its value."),
            lastTransitionTime: name("When it changed last."),
            reason: optional(name("Reason.")),
            msg: optional(text("Reason in a sentence.", { maxLength: 32768 })),
            retryAttempt: optional(whole("Try.")),
          },
          open,
        ),
        { maxItems: 256 },
      ),
    ),
  },
  open,
);

const status = object(
  "What is seen.",
  {
    ownership: object(
      "Which zone decides.",
      {
        owner: name("Zone that owns the application."),
        epoch: whole("Grows with each change of owner."),
        state: name("Such as New, Placement or Operational."),
        placements: optional(
          list(
            "Zones that run it.",
            object(
              "A zone.",
              {
                zone: name("Zone."),
                nodeAffinity: optional(list("Nodes.", name("Node."), { maxItems: 1024 })),
              },
              open,
            ),
            { maxItems: 256 },
          ),
        ),
      },
      open,
    ),
    zones: optional(list("State per zone.", zone, { maxItems: 256 })),
  },
  open,
);

const anyApplication = kindOf(
  {
    group: meshGroup,
    version: "v1",
    kind: "AnyApplication",
    plural: "anyapplications",
    singular: "anyapplication",
    shortNames: [],
    scope: "Namespaced",
    statusSubresource: true,
    columns: [
      { name: "Zones", type: "integer", jsonPath: ".spec.zones", description: "Wanted zones." },
      { name: "Owner", type: "string", jsonPath: ".status.ownership.owner", description: "Owning zone." },
      { name: "State", type: "string", jsonPath: ".status.ownership.state", description: "State." },
      {
        name: "Epoch",
        type: "integer",
        jsonPath: ".status.ownership.epoch",
        description: "Epoch.",
        wide: true,
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "An application placed in several zones.",
  { spec, status: optional(status) },
);

export type AnyApplication = ReturnType<typeof anyApplication.parse>;

export const anyApplicationDefinition = anyApplication.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseAnyApplication(value: unknown): AnyApplication {
  return anyApplication.parse(value);
}
