import { group } from "./names.ts";
import { list, textMap } from "./schema/collections.ts";
import { kindOf } from "./schema/kind.ts";
import { conditions, labelSelector } from "./schema/metav1.ts";
import { assumed, object, optional } from "./schema/object.ts";
import { duration, policyStatusFields, targetFields, words } from "./schema/policy.ts";
import { dateTime, integer, oneOf, text } from "./schema/scalars.ts";
import type { TypeOf } from "./schema/schema.ts";

/** CircuitBreaker: rate limits, breakers and allow or deny lists (`spec/ctrlmesh.md` 1.2, 6.6). */

const ruleName = text("Name of the rule, once in this object.", { minLength: 1, maxLength: 253 });
const tokens = (description: string) => integer(description, { minimum: 0, maximum: 2 ** 31 - 1 });

const resourceRule = object("Requests to the API server.", {
  apiGroups: words("API groups; empty text is the core group."),
  resources: words(
    "Plural names in lower case; requests to a subresource count as requests to its resource.",
  ),
  verbs: words("Verbs such as get, list, create or delete.", 32),
  namespaces: words("Namespaces."),
});

const restRule = object("Outgoing REST requests.", {
  url: text("scheme://host:port/path; a path may end in /*.", {
    minLength: 1,
    maxLength: 2048,
    pattern: /^[a-z][a-z0-9+.-]*:\/\/[^ /]+/,
    patternHint: "write scheme://host:port/path, such as https://api.example.com/tickets/*",
  }),
  method: text("HTTP method.", {
    minLength: 1,
    maxLength: 32,
    pattern: /^(\*|[A-Za-z]+)$/,
    patternHint: "write an HTTP method such as POST",
  }),
});

const bucket = object(
  "Token bucket: `limit` tokens per `interval`, at most `burst` at once.",
  {
    burst: tokens("Most tokens at once."),
    interval: duration("Time in which `limit` tokens are added."),
    limit: tokens("Tokens added per interval; 0 refuses everything."),
  },
  {
    rules: [
      {
        cel: "self.interval.matches('[1-9]')",
        message: "interval must be longer than 0",
        fieldPath: ".interval",
        holds: ({ interval }) => /[1-9]/.test(interval),
      },
    ],
  },
);

const recoverPolicy = object(
  "How an opened breaker closes.",
  {
    type: oneOf("Manual: by a person. SleepingWindow: by itself after a time.", ["Manual", "SleepingWindow"]),
    sleepingWindowSize: optional(duration("Time until it closes by itself.")),
  },
  {
    rules: [
      {
        cel: "self.type != 'SleepingWindow' || has(self.sleepingWindowSize)",
        message: "a SleepingWindow needs sleepingWindowSize, such as 5m",
        fieldPath: ".sleepingWindowSize",
        holds: ({ type, sleepingWindowSize }) =>
          type !== "SleepingWindow" || sleepingWindowSize !== undefined,
      },
    ],
  },
);

const rateLimiting = object("A rate limit.", {
  name: ruleName,
  resourceRules: optional(list("Requests to the API server that it counts.", resourceRule, { maxItems: 64 })),
  restRules: optional(list("Outgoing REST requests that it counts.", restRule, { maxItems: 64 })),
  bucket,
  triggerPolicy: oneOf(
    "Normal: opens the breaker when no token is left. LimiterOnly: only limits. ForceOpened: refuses all. ForceClosed: allows all.",
    ["Normal", "LimiterOnly", "ForceOpened", "ForceClosed"],
  ),
  recoverPolicy: assumed(recoverPolicy, { type: "Manual" }),
  properties: optional(
    textMap("Carried along, without effect.", {
      maxProperties: 64,
      value: text("Value.", { maxLength: 1024 }),
    }),
  ),
});

const trafficInterceptRule = object("An allow or deny list for outgoing REST requests.", {
  name: ruleName,
  interceptType: oneOf("Whitelist: only these. Blacklist: all but these.", ["Whitelist", "Blacklist"]),
  contentType: oneOf("Normal: host names. Regexp: regular expressions on the host.", ["Normal", "Regexp"]),
  contents: list("Hosts.", text("Host name or regular expression.", { minLength: 1, maxLength: 1024 }), {
    maxItems: 256,
  }),
  methods: list("HTTP methods; '*' is every one.", text("Method.", { minLength: 1, maxLength: 32 }), {
    maxItems: 32,
  }),
});

const spec = object("What is wanted.", {
  selector: labelSelector("Pods of this namespace whose proxies get these rules."),
  rateLimitings: optional(list("Rate limits.", rateLimiting, { maxItems: 128, keys: ["name"] })),
  trafficInterceptRules: optional(
    list("Allow and deny lists.", trafficInterceptRule, { maxItems: 128, keys: ["name"] }),
  ),
});

const limitingSnapshot = object("State of one rate limit in one proxy.", {
  name: ruleName,
  state: oneOf("Opened: refuses.", ["Opened", "Closed"]),
  lastTransitionTime: optional(dateTime("When the state changed last.")),
  recoverTime: optional(dateTime("When it closes by itself.")),
});

const status = object("What is seen.", {
  ...policyStatusFields,
  conditions: optional(conditions("Facts about the rules.")),
  targetStatus: optional(
    list(
      "Pods that the selector chooses.",
      object("A pod.", {
        ...targetFields,
        limitingSnapshots: optional(list("Its rate limits.", limitingSnapshot, { maxItems: 128 })),
      }),
      { maxItems: 4096 },
    ),
  ),
});

const circuitBreaker = kindOf(
  {
    group,
    version: "v1alpha1",
    kind: "CircuitBreaker",
    plural: "circuitbreakers",
    singular: "circuitbreaker",
    shortNames: ["cbk"],
    scope: "Namespaced",
    statusSubresource: true,
    columns: [
      {
        name: "Ready",
        type: "string",
        jsonPath: '.status.conditions[?(@.type=="Ready")].status',
        description: "Whether every selected pod has the rules.",
      },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp", description: "Age." },
    ],
  },
  "Rate limits, breakers and allow or deny lists for the requests of an operator's pods.",
  { spec, status: optional(status) },
);

export type CircuitBreaker = ReturnType<typeof circuitBreaker.parse>;
export type RateLimiting = TypeOf<typeof rateLimiting>;
export type TrafficInterceptRule = TypeOf<typeof trafficInterceptRule>;

export const circuitBreakerDefinition = circuitBreaker.definition;

/** @throws INVALID_RESOURCE with the field path */
export function parseCircuitBreaker(value: unknown): CircuitBreaker {
  return circuitBreaker.parse(value);
}
