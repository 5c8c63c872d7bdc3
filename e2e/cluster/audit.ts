import { existsSync, readFileSync } from "node:fs";

/** Each request at its end, a watch at its start too, at level Metadata. */
export const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, verbs: [watch]}
  - {level: Metadata, omitStages: [ResponseStarted]}
`;

/** The events of an audit log so far; none when there is no such file yet. */
export function readAuditLog(path: string): unknown[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  // What follows the last line feed is being written.
  return lines.slice(0, -1).flatMap((line): unknown[] => (line === "" ? [] : [JSON.parse(line)]));
}
