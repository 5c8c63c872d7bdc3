import { readFile } from "node:fs/promises";
import { CtrlmeshError } from "#api/errors";
import { nearestName } from "./nearest-name.ts";
import { configFlag, type SettingsTable } from "./setting-names.ts";

/**
 * Settings of a JSON or YAML file by name, as texts.
 *
 * @throws INVALID_SETTING when the file cannot be read or parsed, or names a setting that does not exist.
 */
export async function readConfigFile(path: string, table: SettingsTable): Promise<Map<string, string>> {
  const content = await parseConfigFile(path);
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw invalidFile(path, "the file is not a mapping of settings", "write one `name: value` per setting");
  }
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(content)) {
    if (!Object.hasOwn(table, name)) {
      const nearest = nearestName(name, Object.keys(table));
      const hint = nearest === undefined ? "see --help for all settings" : `did you mean ${nearest}?`;
      throw invalidFile(`${path}: ${name}`, "no such setting", hint);
    }
    values.set(name, fileText(`${path}: ${name}`, value));
  }
  return values;
}

async function parseConfigFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new CtrlmeshError("INVALID_SETTING", {
      what: `the configuration file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      where: path,
      hint: `check the path given with --${configFlag} and its permissions`,
      cause,
    });
  }
  try {
    // The YAML parser is loaded only for a file that needs it: the proxy, which has none, never pays for it.
    return path.endsWith(".json")
      ? JSON.parse(text)
      : (await import("yaml")).parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    const what = `the configuration file is malformed: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new CtrlmeshError("INVALID_SETTING", { what, where: path, hint: "correct the syntax", cause });
  }
}

function fileText(where: string, value: unknown): string {
  if (Array.isArray(value) && value.every(isScalar)) return value.join(",");
  if (isScalar(value)) return String(value);
  throw invalidFile(
    where,
    "neither a plain value nor a list of such",
    "write a text, a number, true, false or a list",
  );
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function invalidFile(where: string, what: string, hint: string): CtrlmeshError {
  return new CtrlmeshError("INVALID_SETTING", { what, where, hint });
}
