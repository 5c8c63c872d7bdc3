import { configFlag, configVariable, flagName, type SettingsTable, variableName } from "./setting-names.ts";

interface HelpInput {
  readonly command: string;
  readonly about: string;
  readonly table: SettingsTable;
}

const widthCharacters = 100;

/** The text of `--help`: every flag of the table with its variable, its default and what it does. */
export function settingsHelp({ command, about, table }: HelpInput): string {
  const rows = Object.entries(table);
  const positionals = rows.flatMap(([, setting]) => (setting.positional ? [setting] : []));
  const names = positionals.map(({ placeholder, optional }) =>
    optional === true ? `[${placeholder}]` : placeholder,
  );
  const lines = [`Usage: ${[command, ...names].join(" ")} [flags]`, "", about, ""];
  for (const { placeholder, description } of positionals) {
    lines.push(`  ${placeholder}`, ...wrapped(`${description}.`), "");
  }
  lines.push("Flags:");
  for (const [name, setting] of rows) {
    if (setting.positional) continue;
    const value = setting.placeholder === "" ? "" : ` ${setting.placeholder}`;
    const letter = setting.short === undefined ? "" : `-${setting.short}, `;
    const facts = [`env ${variableName(name, setting)}`];
    if (setting.defaultText !== undefined) facts.push(`default ${setting.defaultText || '""'}`);
    else if (!setting.optional) facts.push("required");
    lines.push(
      `  ${letter}--${flagName(name)}${value}`,
      ...wrapped(`${setting.description} (${facts.join(", ")}).`),
    );
  }
  lines.push(`  --${configFlag} FILE`);
  lines.push(...wrapped(`JSON or YAML file with settings by camelCase name (env ${configVariable}).`));
  lines.push("  --help", ...wrapped("Print this text."));
  lines.push("", "Flags win over environment variables, these over the file, this over the defaults.");
  return `${lines.join("\n")}\n`;
}

function wrapped(sentence: string): string[] {
  const lines: string[] = [];
  let line = "     ";
  for (const word of sentence.split(" ")) {
    if (line.length + 1 + word.length > widthCharacters) {
      lines.push(line);
      line = "     ";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
