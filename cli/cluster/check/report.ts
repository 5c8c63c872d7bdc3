import { cut, tableText } from "../../print.ts";
import { docsOf, type Finding, type Level } from "./finding.ts";

/** The answer of `ctrlmesh check`, as -o json prints it. */
export interface CheckReport {
  /** No error was found. */
  readonly ok: boolean;
  readonly phase: "before" | "after";
  readonly checks: readonly {
    readonly name: string;
    readonly result: "ok" | Level;
    readonly summary: string;
  }[];
  readonly findings: readonly (Finding & { readonly docs: string })[];
}

const order: readonly Level[] = ["error", "warning", "info"];

export function reportOf(
  phase: CheckReport["phase"],
  outcomes: readonly {
    readonly name: string;
    readonly summary: string;
    readonly findings: readonly Finding[];
  }[],
): CheckReport {
  const findings = outcomes
    .flatMap((outcome) => outcome.findings)
    .map((finding) => ({ ...finding, docs: docsOf(finding.code) }))
    .sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  return {
    ok: findings.every(({ level }) => level !== "error"),
    phase,
    checks: outcomes.map(({ name, summary, findings: own }) => ({ name, result: worst(own), summary })),
    findings,
  };
}

function worst(findings: readonly Finding[]): "ok" | Level {
  return order.find((level) => findings.some((finding) => finding.level === level)) ?? "ok";
}

export function reportText({ checks, findings }: CheckReport): string {
  const table = tableText([
    ["CHECK", "RESULT", "LOOKED AT"],
    ...checks.map(({ name, result, summary }) => [name, result, cut(summary, 100)]),
  ]);
  const details = findings.map(
    ({ level, code, where, what, remedy, docs }) =>
      `\n${level} ${code}: ${where}\n  ${what}\n  remedy: ${remedy}\n  see: ${docs}\n`,
  );
  const counts = order.map(
    (level) => [level, findings.filter((each) => each.level === level).length] as const,
  );
  const total = counts.flatMap(([level, count]) =>
    count === 0 ? [] : [`${count} ${level}${count === 1 ? "" : "s"}`],
  );
  return `${table}${details.join("")}\n${findings.length === 0 ? "nothing found" : total.join(", ")}\n`;
}
