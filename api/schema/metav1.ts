import { list, textMap } from "./collections.ts";
import { object, optional, optionalOrNull } from "./object.ts";
import { dateTime, integer, largestCount, oneOf, text } from "./scalars.ts";

/** Pieces that several kinds share, with the meaning that `k8s.io/apimachinery` gives them. */

const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Name of a Kubernetes object (DNS subdomain). */
export function objectName(description: string, maxLength = 253) {
  return text(description, {
    minLength: 1,
    maxLength,
    pattern: dnsSubdomain,
    patternHint: "use lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
  });
}

const labelKey = text("Label key.", {
  minLength: 1,
  maxLength: 317,
  pattern:
    /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  patternHint: "a label key is an optional DNS name and '/', then up to 63 letters, digits, '-', '_' or '.'",
});

const labelValue = text("Label value.", {
  maxLength: 63,
  pattern: /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/,
  patternHint:
    "a label value has up to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends",
});

const expression = object(
  "One requirement.",
  {
    key: labelKey,
    operator: oneOf("How the label relates to the values.", ["In", "NotIn", "Exists", "DoesNotExist"]),
    values: optional(
      list("Values for In and NotIn, at least one; none for Exists and DoesNotExist.", labelValue, {
        maxItems: 2048,
      }),
    ),
  },
  {
    rules: [
      {
        cel: "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && size(self.values) > 0)",
        message: "In and NotIn need at least one value, Exists and DoesNotExist take none",
        fieldPath: ".values",
        holds: ({ operator, values = [] }) =>
          (operator === "In" || operator === "NotIn") === values.length > 0,
      },
    ],
  },
);

/** metav1.LabelSelector, with the checks that `LabelSelectorAsSelector` would make too late. */
export function labelSelector(description: string) {
  return object(
    description,
    {
      matchLabels: optionalOrNull(
        textMap("Labels that must have these values.", { maxProperties: 64, value: labelValue }),
      ),
      matchExpressions: optionalOrNull(
        list("Requirements, all of which must hold.", expression, { maxItems: 32 }),
      ),
    },
    { atomic: true },
  );
}

/** Whether a selector asks for anything; one that does not matches everything. */
export function isEmptySelector(
  selector:
    | {
        readonly matchLabels?: Readonly<Record<string, string>>;
        readonly matchExpressions?: readonly unknown[];
      }
    | undefined,
): boolean {
  return (
    Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0
  );
}

/** int64 metadata.generation that a status speaks of. */
export const observedGeneration = integer("Generation of the spec that this status speaks of.", {
  minimum: 0,
  maximum: largestCount,
});

const condition = object("What is seen, as one fact.", {
  type: text("Name of the fact.", { minLength: 1, maxLength: 316 }),
  status: oneOf("Whether it holds.", ["True", "False", "Unknown"]),
  reason: text("Reason in one word.", { minLength: 1, maxLength: 1024 }),
  message: text("Reason in a sentence.", { maxLength: 32768 }),
  observedGeneration: optional(observedGeneration),
  lastTransitionTime: dateTime("When the status changed last."),
});

/** metav1.Condition list, keyed by type. */
export function conditions(description: string) {
  return list(description, condition, { maxItems: 64, keys: ["type"] });
}
