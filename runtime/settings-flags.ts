import { CtrlmeshError } from "#api/errors";
import { nearestName } from "./nearest-name.ts";
import { configFlag, flagName, type SettingsTable } from "./setting-names.ts";
import type { Setting } from "./setting-types.ts";

interface FlagsInput {
  readonly command: string;
  readonly table: SettingsTable;
  readonly argv: readonly string[];
}

/**
 * Flags by name, as texts; values of repeatable flags are joined by commas.
 *
 * @throws INVALID_FLAG for a flag that does not exist, is given twice, has no value, or is no flag at all.
 */
export function readFlags({ argv, table, command }: FlagsInput): Map<string, string> {
  const settings = new Map<string, Setting<unknown> | undefined>([[configFlag, undefined]]);
  for (const [name, setting] of Object.entries(table)) settings.set(flagName(name), setting);
  const given = new Map<string, string>();
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? "";
    if (!argument.startsWith("--")) {
      throw new CtrlmeshError("INVALID_FLAG", {
        what: `${JSON.stringify(argument)} is no flag`,
        where: command,
        hint: "flags begin with --; see --help",
      });
    }
    const equals = argument.indexOf("=");
    const flag = argument.slice(2, equals === -1 ? undefined : equals);
    if (!settings.has(flag)) throw unknownFlag(flag, settings.keys());
    const setting = settings.get(flag);
    let text = equals === -1 ? undefined : argument.slice(equals + 1);
    if (text === undefined) text = setting?.placeholder === "" ? "true" : argv[++index];
    if (text === undefined || (equals === -1 && text.startsWith("--"))) throw missingValue(flag);
    given.set(flag, joined(flag, given.get(flag), text, setting));
  }
  return given;
}

function joined(
  flag: string,
  earlier: string | undefined,
  text: string,
  setting: Setting<unknown> | undefined,
): string {
  if (earlier === undefined) return text;
  if (setting?.repeatable) return `${earlier},${text}`;
  throw new CtrlmeshError("INVALID_FLAG", {
    what: `given twice, with ${JSON.stringify(earlier)} and ${JSON.stringify(text)}`,
    where: `--${flag}`,
    hint: "give it once",
  });
}

function unknownFlag(flag: string, known: Iterable<string>): CtrlmeshError {
  const nearest = nearestName(flag, known);
  const hint = nearest === undefined ? "see --help for all flags" : `did you mean --${nearest}?`;
  return new CtrlmeshError("INVALID_FLAG", { what: "no such flag", where: `--${flag}`, hint });
}

function missingValue(flag: string): CtrlmeshError {
  return new CtrlmeshError("INVALID_FLAG", {
    what: "the value is missing",
    where: `--${flag}`,
    hint: `write --${flag}=VALUE`,
  });
}
