import { cut, tableText } from "../print.ts";
import type { MeshStatus, ShardLine } from "./mesh-status.ts";

const cellLimit = 60;

/** The status as tables for people. */
export function statusText({ manager, shards }: MeshStatus): string {
  const { leader, namespace, version, term } = manager;
  const head =
    leader === ""
      ? `manager: none has led in ${namespace}\n`
      : `manager: ${leader} leads in ${namespace}, version ${version || "unknown"}, term ${term}\n`;
  if (shards.length === 0) return `${head}\nthere are no ShardingConfigs\n`;
  return [head, shardTable(shards), podTable(shards), conditionList(shards)]
    .filter((part) => part !== "")
    .join("\n");
}

function shardTable(shards: readonly ShardLine[]): string {
  return tableText([
    ["NAMESPACE", "SHARD", "READY", "OWNED", "PENDING", "REVOKING", "PODS", "EPOCH"],
    ...shards.map(({ namespace, name, ready, held, pending, revoking, podsReady, epoch }) => [
      namespace,
      name,
      ready,
      cut(shown(held), cellLimit),
      cut(shown(pending), cellLimit),
      cut(shown(revoking), cellLimit),
      podsReady,
      String(epoch),
    ]),
  ]);
}

function podTable(shards: readonly ShardLine[]): string {
  const rows = shards.flatMap(({ namespace, name, pods }) =>
    pods.map((pod) => [
      namespace,
      pod.name,
      name,
      pod.connected ? "yes" : "no",
      pod.ready ? "yes" : "no",
      shown(pod.snapshot),
      shown(pod.proxyVersion),
    ]),
  );
  if (rows.length === 0) return "";
  return tableText([["NAMESPACE", "POD", "SHARD", "CONNECTED", "READY", "SNAPSHOT", "PROXY"], ...rows]);
}

function conditionList(shards: readonly ShardLine[]): string {
  return shards
    .flatMap(({ namespace, name, conditions }) =>
      conditions.map(
        ({ type, reason, message }) => `${namespace}/${name}: ${type} (${reason}): ${message}\n`,
      ),
    )
    .join("");
}

function shown(text: string): string {
  return text === "" || text === "none" ? "-" : text;
}
