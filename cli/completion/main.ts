import { oneOf } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import type { Command, CommandTable } from "../command-row.ts";
import { programName } from "../program-name.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { completedCommands } from "./words.ts";
import { zshScript } from "./zsh.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export const completionSettings = {
  shell: {
    ...oneOf(["bash", "zsh", "fish"], { description: "the shell that is to complete" }),
    positional: true,
  },
};

/** `ctrlmesh completion SHELL`: prints a script that completes the commands of a table. */
export function completionOf(table: CommandTable): Command {
  return async (argv: readonly string[], env: Environment): Promise<number> => {
    const settings = await settingsOrHelp({
      command: `${programName()} completion`,
      about: "Prints a script that lets a shell complete commands, flags and their values.",
      table: completionSettings,
      argv,
      env,
    });
    if (settings === undefined) return 0;
    process.stdout.write(scripts[settings.shell](await completedCommands(table)));
    return 0;
  };
}
