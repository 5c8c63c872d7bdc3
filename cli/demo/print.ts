import { tableText } from "../print.ts";
import type { ShardView } from "./phases.ts";
import type { OperatorRecord, Proof } from "./proof.ts";

/** One phase of the demo, as `--json` prints it. */
export interface PhaseReport {
  readonly name: string;
  readonly exactlyOneOwner: boolean;
  readonly objects: number;
  readonly unowned: readonly string[];
  readonly shared: readonly string[];
  readonly unknown: readonly string[];
  readonly shards: readonly ShardReport[];
}

export interface ShardReport {
  readonly name: string;
  readonly pods: readonly string[];
  readonly namespaces: readonly string[];
  /** Objects in the caches of its pods. */
  readonly objects: number;
}

export interface DemoReport {
  readonly exactlyOneOwner: boolean;
  readonly phases: readonly PhaseReport[];
  readonly objects: { readonly total: number; readonly moved: number; readonly kept: number };
  readonly seconds: number;
}

/** Joins what was proven with what the shards say about their pods. */
export function phaseReport(
  name: string,
  shards: readonly ShardView[],
  { proof, records }: { readonly proof: Proof; readonly records: readonly OperatorRecord[] },
): PhaseReport {
  return {
    name,
    exactlyOneOwner: proof.exactlyOneOwner,
    objects: proof.objects,
    unowned: proof.unowned,
    shared: proof.shared,
    unknown: proof.unknown,
    shards: shards.map(({ name: shard, pods }) => {
      const seen = new Set(records.filter(({ pod }) => pods.includes(pod)).flatMap(({ sources }) => sources));
      const namespaces = [...new Set([...seen].map((source) => source.slice(0, source.indexOf("/"))))].sort();
      return { name: shard, pods, namespaces, objects: seen.size };
    }),
  };
}

/** The report as a table for people. */
export function printReport(report: DemoReport): string {
  const rows = [["PHASE", "SHARD", "PODS", "OBJECTS", "NAMESPACES"]];
  for (const phase of report.phases) {
    for (const { name, pods, objects, namespaces } of phase.shards) {
      rows.push([phase.name, name, pods.join(" "), String(objects), namespaces.join(" ")]);
    }
  }
  return `\n${tableText(rows)}\n${report.phases.map(verdict).join("\n")}\n${balance(report)}\n`;
}

function verdict({ name, exactlyOneOwner, objects, unowned, shared, unknown }: PhaseReport): string {
  if (exactlyOneOwner) return `${name}: each of ${objects} objects is seen by exactly one shard`;
  const faults = [
    `${unowned.length} seen by none`,
    `${shared.length} by more than one`,
    `${unknown.length} that do not exist`,
  ];
  const examples = [...unowned, ...shared, ...unknown].slice(0, 3).join(", ");
  return `${name}: NOT exactly one owner: ${faults.join(", ")}; for example ${examples}`;
}

function balance({ objects: { total, moved, kept }, seconds }: DemoReport): string {
  return `${total} objects, ${moved} moved, ${kept} kept; ${seconds.toFixed(1)} s`;
}
