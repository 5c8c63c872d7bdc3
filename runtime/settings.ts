import { CtrlmeshError } from "#api/errors";
import { configFlag, configVariable, flagName, type SettingsTable, variableName } from "./setting-names.ts";
import type { Setting } from "./setting-types.ts";
import { readConfigFile } from "./settings-file.ts";
import { readFlags } from "./settings-flags.ts";
import { settingsHelp } from "./settings-help.ts";

export type Settings<T extends SettingsTable> = {
  readonly [K in keyof T]: T[K] extends Setting<infer V> ? V : never;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process; nothing else reads it. */
export function processEnvironment(): Environment {
  return process.env;
}

interface SettingsInput<T extends SettingsTable> {
  /** How the command is called: "ctrlmesh proxy". */
  readonly command: string;
  /** One sentence about the command, for the help text. */
  readonly about: string;
  readonly table: T;
  /** What follows the command. */
  readonly argv: readonly string[];
  readonly env: Environment;
}

type SettingsResult<T extends SettingsTable> =
  | { readonly kind: "settings"; readonly settings: Settings<T> }
  | { readonly kind: "help"; readonly text: string };

/**
 * Reads settings: flags win over environment variables, these over the file that `--config FILE` names (JSON, or
 * YAML), this over the defaults. An empty environment variable counts as not set, as Kubernetes manifests often have
 * them. `--help` wins over everything, so that it helps also when another flag is wrong.
 *
 * @throws INVALID_FLAG for a flag, INVALID_SETTING for a variable or a file: names the setting, the value and what
 *   is allowed.
 */
export async function readSettings<T extends SettingsTable>(
  input: SettingsInput<T>,
): Promise<SettingsResult<T>> {
  if (input.argv.includes("--help") || input.argv.includes("-h")) {
    return { kind: "help", text: settingsHelp(input) };
  }
  const flags = readFlags(input);
  const configFile = flags.get(configFlag) ?? nonEmpty(input.env[configVariable]);
  const file =
    configFile === undefined ? new Map<string, string>() : await readConfigFile(configFile, input.table);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(input.table)) {
    values[name] = settle(name, setting, { flags, env: input.env, file, configFile });
  }
  // The loop above put a value of the setting's own type under each name of the table.
  return { kind: "settings", settings: values as Settings<T> };
}

/**
 * Settings for a command that a user called, or undefined after its help text was printed.
 *
 * @throws as `readSettings`
 */
export async function settingsOrHelp<T extends SettingsTable>(
  input: SettingsInput<T>,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<Settings<T> | undefined> {
  const read = await readSettings(input);
  if (read.kind === "settings") return read.settings;
  print(read.text);
  return undefined;
}

interface Sources {
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Environment;
  readonly file: ReadonlyMap<string, string>;
  readonly configFile: string | undefined;
}

function settle(name: string, setting: Setting<unknown>, sources: Sources): unknown {
  const flag = flagName(name);
  const variable = variableName(name, setting);
  const fromFlag = sources.flags.get(flag);
  const where = setting.positional ? setting.placeholder : `--${flag}`;
  if (fromFlag !== undefined) return parse(setting, fromFlag, { code: "INVALID_FLAG", where });
  const fromEnv = setting.positional ? undefined : nonEmpty(sources.env[variable]);
  if (fromEnv !== undefined) return parse(setting, fromEnv, { code: "INVALID_SETTING", where: variable });
  const fromFile = setting.positional ? undefined : sources.file.get(name);
  if (fromFile !== undefined) {
    return parse(setting, fromFile, { code: "INVALID_SETTING", where: `${sources.configFile}: ${name}` });
  }
  if (setting.default !== undefined) return setting.default;
  if (setting.optional) return undefined;
  throw new CtrlmeshError("INVALID_FLAG", {
    what: "a value is needed and none was given",
    where,
    hint: setting.positional ? "see --help" : `give the flag or set ${variable}`,
  });
}

interface Place {
  readonly code: "INVALID_FLAG" | "INVALID_SETTING";
  readonly where: string;
}

function parse(setting: Setting<unknown>, text: string, { code, where }: Place): unknown {
  const parsed = setting.parse(text);
  if (parsed.ok) return parsed.value;
  throw new CtrlmeshError(code, {
    what: `${JSON.stringify(text)} is not allowed`,
    where,
    hint: `give ${parsed.expected}`,
  });
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
