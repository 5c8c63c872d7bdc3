import { CtrlmeshError } from "#api/errors";
import { compare, differenceOfSplits } from "./compare.ts";
import { isKnownDisagreement, leniencyOf, strictnessOf } from "./known.ts";
import { type Reading, type ReferenceName, referenceNames, type Stream } from "./reading.ts";
import type { Subject } from "./subject.ts";

export interface Finding {
  readonly kind:
    | "difference"
    /** We refuse valid bytes, or what a reference accepts and no reviewed leniency explains. */
    | "unexpected refusal"
    /** We accept what a reference refuses, and no reviewed strictness explains it. */
    | "unexpected acceptance"
    /** The pieces in which the bytes came made a difference. */
    | "split"
    /** An error that is none of the two typed refusals. */
    | "untyped error"
    /** Go refuses what the grammar made and nothing changed. */
    | "invalid grammar";
  readonly reference: ReferenceName | undefined;
  readonly what: string;
}

export interface Evidence {
  readonly stream: Stream;
  readonly isValid: boolean;
  readonly cuts: readonly number[];
  readonly references: Readonly<Record<ReferenceName, Reading>>;
}

export interface Judgement {
  readonly findings: readonly Finding[];
  /** Whether we read it without a refusal. */
  readonly isAccepted: boolean;
  /** The reviewed entries that explain where we and a reference differ in strictness. */
  readonly known: readonly string[];
}

/** Holds our reading of one stream, at once and in pieces, to those of the references. */
export function judge(subject: Subject, evidence: Evidence): Judgement {
  const findings: Finding[] = [];
  const known: string[] = [];
  const add = (kind: Finding["kind"], what: string, reference?: ReferenceName): void => {
    findings.push({ kind, what, reference });
  };
  const { stream, isValid, cuts, references } = evidence;
  let ours: Reading;
  try {
    ours = subject.read(stream);
    const split = differenceOfSplits(ours, subject.read(stream, cuts));
    if (split !== undefined) add("split", split);
  } catch (error) {
    const code = error instanceof CtrlmeshError ? error.code : "none";
    add("untyped error", `${code}: ${error instanceof Error ? error.message : String(error)}`);
    return { findings, isAccepted: false, known };
  }
  if (isValid && ours.end === "refused") add("unexpected refusal", `valid bytes: ${ours.reason}`);
  if (isValid && references.go.end === "refused") add("invalid grammar", references.go.reason, "go");
  for (const name of referenceNames) {
    const verdict = compare(ours, references[name], name);
    switch (verdict.kind) {
      case "agree":
        break;
      case "difference":
        if (isKnownDisagreement(name, verdict.what, stream.bytes)) known.push(`${name} keep-alive`);
        else add("difference", verdict.what, name);
        break;
      case "stricter": {
        const leniency = leniencyOf(stream.kind, name, verdict.reason);
        if (leniency === undefined) add("unexpected refusal", verdict.reason, name);
        else known.push(`${name} takes ${leniency.id}`);
        break;
      }
      case "laxer": {
        const strictness = strictnessOf(stream.kind, name, verdict.reason);
        if (strictness === undefined) add("unexpected acceptance", verdict.reason, name);
        else known.push(`${name} refuses ${strictness.id}`);
        break;
      }
    }
  }
  return { findings, isAccepted: ours.end !== "refused", known };
}

/** Two findings of one class are shrunk and told once. */
export function classOf({ kind, reference, what }: Finding): string {
  return `${kind}|${reference ?? ""}|${what.replace(/\d+/g, "N").replace(/"[^"]*"/g, "")}`;
}
