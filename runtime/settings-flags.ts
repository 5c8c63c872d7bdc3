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
 * Settings of a command line by flag name, as texts; values of repeatable flags are joined by commas. Flags come as
 * `--name VALUE` or `--name=VALUE`, with a letter as `-n VALUE`, `-nVALUE` or `-n=VALUE`; what is no flag is the next
 * positional setting.
 *
 * @throws INVALID_FLAG for a flag that does not exist, is given twice, has no value, or is no flag at all.
 */
export function readFlags(input: FlagsInput): Map<string, string> {
  const { argv, table } = input;
  const settings = new Map<string, Setting<unknown> | undefined>([[configFlag, undefined]]);
  for (const [name, setting] of Object.entries(table)) settings.set(flagName(name), setting);
  const positionals = [...settings].flatMap(([flag, setting]) => (setting?.positional ? [flag] : []));
  const given = new Map<string, string>();
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? "";
    if (!argument.startsWith("-") || argument === "-") {
      const flag = positionals.shift();
      if (flag === undefined) throw noFlag(argument, input);
      given.set(flag, argument);
      continue;
    }
    const { flag, setting, attached } = flagOf(argument, settings, input);
    const text = attached ?? (setting?.placeholder === "" ? "true" : argv[++index]);
    if (text === undefined || (attached === undefined && text.startsWith("--"))) throw missingValue(flag);
    given.set(flag, joined(flag, given.get(flag), text, setting));
  }
  return given;
}

interface FlagUse {
  readonly flag: string;
  readonly setting: Setting<unknown> | undefined;
  /** Value in the same word. */
  readonly attached: string | undefined;
}

function flagOf(
  argument: string,
  settings: ReadonlyMap<string, Setting<unknown> | undefined>,
  input: FlagsInput,
): FlagUse {
  if (!argument.startsWith("--")) return letterOf(argument, settings, input);
  const equals = argument.indexOf("=");
  const flag = argument.slice(2, equals === -1 ? undefined : equals);
  const setting = settings.get(flag);
  if (!settings.has(flag) || setting?.positional) {
    throw unknownFlag(
      flag,
      [...settings].filter(([, each]) => each?.positional !== true).map(([name]) => name),
    );
  }
  return { flag, setting, attached: equals === -1 ? undefined : argument.slice(equals + 1) };
}

function letterOf(
  argument: string,
  settings: ReadonlyMap<string, Setting<unknown> | undefined>,
  input: FlagsInput,
): FlagUse {
  const found = [...settings].find(([, setting]) => setting?.short === argument[1]);
  if (found === undefined) throw noFlag(argument, input);
  const [flag, setting] = found;
  const rest = argument.slice(2);
  if (rest === "") return { flag, setting, attached: undefined };
  return { flag, setting, attached: rest.startsWith("=") ? rest.slice(1) : rest };
}

function noFlag(argument: string, { command }: FlagsInput): CtrlmeshError {
  return new CtrlmeshError("INVALID_FLAG", {
    what: `${JSON.stringify(argument)} is no flag`,
    where: command,
    hint: "flags begin with --; see --help",
  });
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
