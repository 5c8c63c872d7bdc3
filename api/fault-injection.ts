import { group } from "./names.ts";
import { list } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { conditions, labelSelector } from "./schema/metav1.ts";
import { assumed, object, optional } from "./schema/object.ts";
import { duration, percent, policyStatusFields, targetFields, words } from "./schema/policy.ts";
import { flag, integer, text } from "./schema/scalars.ts";
import type { TypeOf } from "./schema/schema.ts";

/** FaultInjection: delays and errors on purpose, for a share of an operator's requests (`spec/ctrlmesh.md` 1.3, 6.7). */

const resourceMatch = object("Requests to the API server; an absent or empty list is every one.", {
  apiGroups: optional(words("API groups; empty text is the core group.")),
  namespaces: optional(words("Namespaces.")),
  resources: optional(words("Plural names in lower case.")),
  verbs: optional(words("Verbs such as get, list, create or delete.", 32)),
});

const content = (description: string) =>
  object(description, {
    exact: optional(text("The whole text.", { maxLength: 2048 })),
    regex: optional(text("Regular expression that matches a part of it.", { maxLength: 1024 })),
  });

const httpMatch = object("Outgoing REST requests; an absent field is every one.", {
  host: optional(content("Host.")),
  path: optional(content("Path.")),
  method: optional(text("HTTP method; '*' or empty is every one.", { maxLength: 32 })),
  headers: optional(
    list(
      "Headers.",
      object("A header.", {
        name: text("Name.", { minLength: 1, maxLength: 256 }),
        value: optional(text("Value.", { maxLength: 4096 })),
      }),
      { maxItems: 64 },
    ),
  ),
});

const timeOfDay = (description: string) =>
  text(description, {
    maxLength: 8,
    pattern: /^(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?$/,
    patternHint: "write a time of day in UTC such as 08:00:00",
  });

const days = (description: string, element: string, minimum: number, maximum: number) =>
  list(description, integer(element, { minimum, maximum }), { maxItems: 31 });

const effectiveTime = object("When the fault is on; without start and end always.", {
  startTime: optional(timeOfDay("First time of the day (UTC).")),
  endTime: optional(timeOfDay("Last time of the day (UTC).")),
  daysOfWeek: optional(days("Days of the week; none means every day.", "0 is Sunday.", 0, 6)),
  daysOfMonth: optional(days("Days of the month; none means every day.", "Day.", 1, 31)),
  months: optional(days("Months; none means every month.", "1 is January.", 1, 12)),
});

const httpFault = object(
  "A fault.",
  {
    name: optional(text("Name of the rule.", { maxLength: 253 })),
    match: optional(
      object("Requests that get the fault.", {
        resources: optional(list("Requests to the API server.", resourceMatch, { maxItems: 64 })),
        httpMatch: optional(list("Outgoing REST requests.", httpMatch, { maxItems: 64 })),
      }),
    ),
    delay: optional(
      object("Wait before the request goes on.", {
        fixedDelay: duration("How long."),
        percent: assumed(percent("Share of the requests, 0 to 100; absent or 0 is none."), "0"),
      }),
    ),
    abort: optional(
      object(
        "Answer instead of the server.",
        {
          httpStatus: optional(integer("Status; 0 and 200 are no abort.", { minimum: 0, maximum: 599 })),
          percent: assumed(percent("Share of the requests, 0 to 100; absent or 0 is none."), "0"),
        },
        {
          rules: [
            {
              cel: "!has(self.httpStatus) || self.httpStatus == 0 || self.httpStatus >= 200",
              message: "httpStatus must be a final status, 200 to 599",
              fieldPath: ".httpStatus",
              holds: ({ httpStatus = 0 }) => httpStatus === 0 || httpStatus >= 200,
            },
          ],
        },
      ),
    ),
    effectiveTime: optional(effectiveTime),
  },
  {
    rules: [
      {
        cel: "has(self.match)",
        message:
          "match is missing: name the requests that get the fault by match.resources or match.httpMatch",
        holds: ({ match }) => match !== undefined,
      },
    ],
  },
);

const spec = object("What is wanted.", {
  selector: optional(
    labelSelector("Pods of this namespace whose proxies get these faults; none chooses no pod."),
  ),
  disabled: optional(flag("true takes the faults away.")),
  httpFault: optional(list("Faults.", httpFault, { maxItems: 128 })),
});

const status = object("What is seen.", {
  ...policyStatusFields,
  conditions: optional(conditions("Facts about the faults.")),
  targetStatus: optional(
    list("Pods that the selector chooses.", object("A pod.", targetFields), { maxItems: 4096 }),
  ),
});

const faultInjection = kindOf(
  {
    group,
    version: "v1alpha1",
    kind: "FaultInjection",
    plural: "faultinjections",
    singular: "faultinjection",
    shortNames: ["fj"],
    scope: "Namespaced",
    statusSubresource: true,
    columns: [
      { name: "Disabled", type: "boolean", jsonPath: ".spec.disabled", description: "Taken away." },
      {
        name: "Ready",
        type: "string",
        jsonPath: '.status.conditions[?(@.type=="Ready")].status',
        description: "Whether every selected pod has the faults.",
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "Delays and errors on purpose, for a share of the requests of an operator's pods.",
  { spec: optional(spec), status: optional(status) },
);

export type FaultInjection = ReturnType<typeof faultInjection.parse>;
export type HttpFault = TypeOf<typeof httpFault>;

export const faultInjectionDefinition = faultInjection.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseFaultInjection(value: unknown): FaultInjection {
  return faultInjection.parse(value);
}
