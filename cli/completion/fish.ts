import { type CompletedCommand, type CompletedFlag, plain } from "./words.ts";

/** A script for fish. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ name, about, flags, words }) => [
    `complete -c ctrlmesh -n __fish_use_subcommand -f -a ${name} -d '${plain(about)}'`,
    ...flags.map((flag) => flagLine(name, flag)),
    ...(words.length === 0 ? [] : [`${within(name)} -f -a '${words.join(" ")}'`]),
  ]);
  return `# fish completion of ctrlmesh. Load it with: ctrlmesh completion fish | source\n${lines.join("\n")}\n`;
}

function within(command: string): string {
  return `complete -c ctrlmesh -n '__fish_seen_subcommand_from ${command}'`;
}

function flagLine(command: string, { name, short, about, value }: CompletedFlag): string {
  const letter = short === undefined ? "" : ` -s ${short}`;
  const action =
    value === "none"
      ? " -f"
      : value === "file"
        ? " -r -F"
        : value === "other"
          ? " -x"
          : ` -x -a '${value.join(" ")}'`;
  return `${within(command)} -l ${name}${letter}${action} -d '${plain(about)}'`;
}
