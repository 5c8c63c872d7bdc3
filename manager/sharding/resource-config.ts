import { parseDocument } from "yaml";
import { CtrlmeshError } from "#api/errors";
import { isRecord } from "#kube/client/api-error";

/** One line of the list of kinds to label: kinds of one group version, or all of it. */
export interface LabelledKinds {
  readonly group: string;
  readonly version: string;
  readonly kinds: readonly string[] | "*";
}

const groupPattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const versionPattern = /^v[0-9]+((alpha|beta)[0-9]+)?$/;
const kindPattern = /^[A-Z][A-Za-z0-9]{0,62}$/;
const hint = 'write for example  groupVersionKinds: { v1: [ConfigMap], apps/v1: ["*"] }';

/**
 * Reads `data["resource-config"]` of the ConfigMap (`spec/ctrlmesh.md` 4.1): YAML with group/version to kinds.
 * Absent is an empty list: nothing to label besides what ShardingConfigs limit.
 *
 * @throws INVALID_SHARDING_RESOURCES with the path of the member
 */
export function parseResourceConfig(text: string | undefined): readonly LabelledKinds[] {
  if (text === undefined || text.trim() === "") return [];
  const document = parseDocument(text, { uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) throw invalid("resource-config", problem.message, problem);
  const root: unknown = document.toJS();
  if (!isRecord(root)) throw invalid("resource-config", "it is no map");
  for (const name of Object.keys(root)) {
    if (name !== "groupVersionKinds") throw invalid(`resource-config.${name}`, "there is no such member");
  }
  const lines = root.groupVersionKinds;
  if (lines === undefined || lines === null) return [];
  if (!isRecord(lines)) throw invalid("groupVersionKinds", "it is no map of group/version to kinds");
  return Object.entries(lines).map(([groupVersion, kinds]) => parseLine(groupVersion, kinds));
}

function parseLine(groupVersion: string, kinds: unknown): LabelledKinds {
  const where = `groupVersionKinds[${JSON.stringify(groupVersion)}]`;
  const [first = "", second, ...rest] = groupVersion.split("/");
  const group = second === undefined ? "" : first;
  const version = second ?? first;
  const isGroup = second === undefined || groupPattern.test(group);
  if (rest.length > 0 || !isGroup || !versionPattern.test(version)) {
    throw invalid(where, 'the key is no group version such as "v1" or "apps/v1"');
  }
  if (!Array.isArray(kinds)) throw invalid(where, "it is no list of kinds");
  const names = kinds.map((kind: unknown, i) => parseKind(kind, `${where}[${i}]`));
  if (!names.includes("*")) return { group, version, kinds: names };
  if (names.length > 1) throw invalid(where, '"*" stands alone');
  return { group, version, kinds: "*" };
}

function parseKind(kind: unknown, where: string): string {
  if (kind === "*" || (typeof kind === "string" && kindPattern.test(kind))) return kind;
  throw invalid(where, `${JSON.stringify(kind)} is no kind; kinds are written as in YAML, such as ConfigMap`);
}

function invalid(where: string, what: string, cause?: unknown): CtrlmeshError {
  return new CtrlmeshError("INVALID_SHARDING_RESOURCES", {
    what,
    where,
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}
