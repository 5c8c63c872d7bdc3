import { list } from "./collections.ts";
import { observedGeneration } from "./metav1.ts";
import { optional } from "./object.ts";
import { dateTime, text } from "./scalars.ts";

/** Pieces that the traffic policies (CircuitBreaker, FaultInjection) share. */

/** A Go duration, not negative, such as 1m30s. */
export function duration(description: string) {
  return text(description, {
    minLength: 1,
    maxLength: 32,
    pattern: /^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$/,
    patternHint: "write a duration such as 500ms, 10s or 1m30s",
  });
}

/** Share of requests: a number from 0 to 100 written as text, as in the original. */
export function percent(description: string) {
  return text(description, {
    minLength: 1,
    maxLength: 16,
    pattern: /^(0*100(\.0*)?|0*[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)$/,
    patternHint: 'write a number from 0 to 100 in quotes, such as "25" or "0.5"',
  });
}

/** Words such as API groups or verbs, of which '*' is every one. */
export function words(description: string, maxLength = 253) {
  return list(description, text("A word, or '*' for every one.", { maxLength }), { maxItems: 256 });
}

/** Fields of a pod's entry in the status of a policy. */
export const targetFields = {
  podName: optional(text("Pod.", { maxLength: 253 })),
  podIP: optional(text("Address of the pod.", { maxLength: 64 })),
  configHash: optional(text("Hash of the rules that it has.", { maxLength: 128 })),
  message: optional(text("Why it does not have the wanted ones.", { maxLength: 4096 })),
};

/** Fields of a policy's status beside the targets. */
export const policyStatusFields = {
  observedGeneration: optional(observedGeneration),
  lastUpdatedTime: optional(dateTime("When this status changed last.")),
  currentSpecHash: optional(text("Hash of the wanted rules.", { maxLength: 128 })),
};
