import { configFlag, flagName } from "#runtime/setting-names";
import type { Setting } from "#runtime/setting-types";
import type { CommandTable } from "../command-row.ts";

/** What a shell has to know of a command. */
export interface CompletedCommand {
  readonly name: string;
  readonly about: string;
  readonly flags: readonly CompletedFlag[];
  /** Words in the place of the first positional one; empty: none that could be known. */
  readonly words: readonly string[];
}

export interface CompletedFlag {
  readonly name: string;
  readonly short: string | undefined;
  readonly about: string;
  /** none: a switch. file: a path. words: one of them. other: anything. */
  readonly value: "none" | "file" | "other" | readonly string[];
}

/** All commands with their flags, from the command table and the tables of settings: nothing is written down twice. */
export async function completedCommands(table: CommandTable): Promise<readonly CompletedCommand[]> {
  return await Promise.all(
    Object.entries(table).map(async ([name, { about, settings }]) => {
      // A bundle leaves some commands out: they are named all the same, and say so when they are called.
      const rows = Object.entries(await settings().catch(() => ({})));
      const positional = rows.find(([, setting]) => setting.positional === true)?.[1];
      return {
        name,
        about,
        flags: [
          ...rows.filter(([, setting]) => setting.positional !== true).map(completedFlag),
          { name: configFlag, short: undefined, about: "file with settings", value: "file" } as const,
          { name: "help", short: "h", about: "print the help text", value: "none" } as const,
        ],
        words: positional === undefined ? [] : wordsOf(positional),
      };
    }),
  );
}

function completedFlag([name, setting]: readonly [string, Setting<unknown>]): CompletedFlag {
  return { name: flagName(name), short: setting.short, about: setting.description, value: valueFor(setting) };
}

function valueFor(setting: Setting<unknown>): CompletedFlag["value"] {
  if (setting.placeholder === "") return "none";
  if (setting.placeholder === "FILE") return "file";
  const words = wordsOf(setting);
  return words.length === 0 ? "other" : words;
}

/** "table|json|yaml" lists what is allowed; any other placeholder only names it. */
function wordsOf({ placeholder }: Setting<unknown>): readonly string[] {
  return placeholder.includes("|") ? placeholder.split("|") : [];
}

/** One line without quotes, for shells. */
export function plain(text: string): string {
  return text.replaceAll(/['"`\\$[\]:\n]/g, " ").replaceAll(/ +/g, " ");
}
