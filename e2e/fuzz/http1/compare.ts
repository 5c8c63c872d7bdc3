import type { Message, Reading, ReferenceName } from "./reading.ts";

/** How our reading stands to a reference's. */
export type Verdict =
  | { readonly kind: "agree" }
  /** Both accept and don't mean the same. */
  | { readonly kind: "difference"; readonly what: string }
  /** We refuse what the reference accepts; `reason` is our refusal's. */
  | { readonly kind: "stricter"; readonly reason: string }
  /** We accept what the reference refuses; `reason` is its refusal's. */
  | { readonly kind: "laxer"; readonly reason: string };

const agree: Verdict = { kind: "agree" };
const difference = (what: string): Verdict => ({ kind: "difference", what });

/**
 * Refuse or agree: each message that both accept must be the same one, and neither may wait for bytes where the
 * other sees a message. Behind the first refusal there is nothing to compare.
 */
export function compare(ours: Reading, reference: Reading, name: ReferenceName): Verdict {
  for (let index = 0; ; index++) {
    const our = ours.messages[index];
    const its = reference.messages[index];
    if (our === undefined) {
      return its === undefined || its.bodyEnd === "refused"
        ? compareEnds(ours, reference)
        : ourEnd(ours, index);
    }
    if (its === undefined) return referenceEnd(reference, index);
    const differing = differingFact(our, its, name);
    if (differing !== undefined) return difference(`message ${index}: ${differing}`);
    const verdict = compareBodies(our, its, index, { ours, reference });
    if (verdict !== undefined) return verdict;
  }
}

/** We read no message where the reference read one. */
function ourEnd(ours: Reading, index: number): Verdict {
  return ours.end === "refused"
    ? { kind: "stricter", reason: ours.reason }
    : difference(`message ${index} is there for the reference and not for us (${ours.end})`);
}

function referenceEnd(reference: Reading, index: number): Verdict {
  return reference.end === "refused"
    ? { kind: "laxer", reason: reference.reason }
    : difference(`message ${index} is there for us and not for the reference (${reference.end})`);
}

/** Without a further message: a head that one of them waits for must not be over for the other. */
function compareEnds(ours: Reading, reference: Reading): Verdict {
  const isPartial = ours.messages.at(-1)?.bodyEnd === "partial";
  if (isPartial || ours.end === "refused" || reference.end === "refused") return agree;
  if ((ours.end === "closed") === (reference.end === "closed")) return agree;
  return difference(`it ends ${ours.end} for us, ${reference.end} for the reference`);
}

/** Undefined: go on with the next message. */
function compareBodies(
  our: Message,
  its: Message,
  index: number,
  { ours, reference }: { readonly ours: Reading; readonly reference: Reading },
): Verdict | undefined {
  if (its.bodyEnd === "refused") {
    return our.bodyEnd === "whole" ? { kind: "laxer", reason: reference.reason } : agree;
  }
  if (our.bodyEnd === "refused") {
    return its.bodyEnd === "whole" ? { kind: "stricter", reason: ours.reason } : agree;
  }
  if (our.bodyEnd !== its.bodyEnd) {
    return difference(
      `message ${index}: the body is ${our.bodyEnd} for us, ${its.bodyEnd} for the reference`,
    );
  }
  if (our.bodyEnd === "whole" && !our.body.equals(its.body)) return difference(`message ${index}: body`);
  return undefined;
}

function differingFact(our: Message, its: Message, name: ReferenceName): string | undefined {
  const facts = [
    "method",
    "target",
    "status",
    "accept",
    "upgrade",
    "hasAuthorization",
    "expectsContinue",
    "closes",
  ] as const;
  const fact = facts.find((key) => our[key] !== its[key]);
  if (fact === undefined) return undefined;
  return `${fact} is ${JSON.stringify(our[fact])} for us, ${JSON.stringify(its[fact])} for ${name}`;
}

/** What differs between two of our own readings of one stream, given whole and in pieces. */
export function differenceOfSplits(whole: Reading, split: Reading): string | undefined {
  if (whole.end !== split.end || whole.reason !== split.reason) {
    return `in pieces it ends ${split.end} (${split.reason}), at once ${whole.end} (${whole.reason})`;
  }
  if (whole.messages.length !== split.messages.length) return "in pieces there are other messages";
  for (const [index, message] of whole.messages.entries()) {
    const other = split.messages[index];
    if (other === undefined || differingFact(message, other, "go") !== undefined) {
      return `message ${index} is another one in pieces`;
    }
    const isSameBody = message.bodyEnd === other.bodyEnd && message.body.equals(other.body);
    if (!isSameBody) return `message ${index} has another body in pieces`;
  }
  return undefined;
}
