import { printAtoms } from "#manager/sharding/shard-status";
import { cut, tableText } from "../../print.ts";
import type { AffectedMove } from "./affected.ts";

/** What `ctrlmesh plan` tells, as -o json prints it. */
export interface Plan {
  readonly moves: readonly AffectedMove[];
  /** Pods that the manager would replace, in its order; one at a time per shard. */
  readonly restarts: readonly {
    readonly namespace: string;
    readonly pod: string;
    readonly shard: string;
    readonly onLoss: string;
  }[];
  /** Overlaps, gaps, and what keeps the shards from being granted. */
  readonly warnings: readonly string[];
}

const cellLimit = 70;

export function planText({ moves, restarts, warnings }: Plan): string {
  const parts = [
    moves.length === 0 ? "nothing moves\n" : moveTable(moves),
    restarts.length === 0 ? "no pod restarts\n" : restartTable(restarts),
    warnings.map((warning) => `warning: ${warning}\n`).join(""),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function moveTable(moves: readonly AffectedMove[]): string {
  return tableText([
    ["OPERATOR", "FROM", "TO", "WHAT", "NAMESPACES", "OBJECTS"],
    ...moves.map(({ namespace, ledger, from, to, atoms, namespaces, objects }) => [
      `${namespace}/${ledger}`,
      from === "" ? "nobody" : from,
      to === "" ? "nobody" : to,
      cut(printAtoms(atoms), cellLimit),
      cut(namespaces.join(", ") || "-", cellLimit),
      Object.entries(objects)
        .map(([kind, count]) => `${count} ${kind}`)
        .join(", ") || "-",
    ]),
  ]);
}

function restartTable(restarts: Plan["restarts"]): string {
  return tableText([
    ["RESTARTS", "SHARD", "WHY"],
    ...restarts.map(({ namespace, pod, shard, onLoss }) => [
      `${namespace}/${pod}`,
      shard,
      `it would see less (onLoss: ${onLoss})`,
    ]),
  ]);
}
