import type { SettingsTable } from "#runtime/setting-names";
import type { Environment } from "#runtime/settings";

/** A command: gets what follows its name, resolves with the exit code of the process. */
export type Command = (argv: readonly string[], env: Environment) => Promise<number>;

/** A line of the command table. */
export interface CommandRow {
  readonly about: string;
  /** Loads the part only when its command is called: a proxy must not pay for the manager. */
  readonly load: () => Promise<Command>;
  /** Its flags and words, for shells. */
  readonly settings: () => Promise<SettingsTable>;
}

export type CommandTable = Readonly<Record<string, CommandRow>>;
