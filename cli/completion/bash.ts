import type { CompletedCommand, CompletedFlag } from "./words.ts";

/** A script for bash 4 or later; needs no bash-completion. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const values = commands.flatMap(({ name, flags }) => flags.flatMap((flag) => valueCase(name, flag)));
  const flags = commands.map(
    ({ name, flags: own, words }) =>
      `    ${name}) choices="${[...words, ...own.flatMap(spellings)].join(" ")}" ;;`,
  );
  return `# bash completion of ctrlmesh. Load it with: source <(ctrlmesh completion bash)
_ctrlmesh() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" choices=""
  COMPREPLY=()
  # --flag=value comes as three words.
  if [[ "$current" == "=" ]]; then
    current=""
  elif [[ "$previous" == "=" ]]; then
    previous="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  if [[ "$COMP_CWORD" -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${names} help" -- "$current"))
    return
  fi
  case "$command $previous" in
${values.join("\n")}
  esac
  case "$command" in
${flags.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
complete -o default -F _ctrlmesh ctrlmesh
`;
}

function spellings({ name, short }: CompletedFlag): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

function valueCase(command: string, flag: CompletedFlag): string[] {
  if (flag.value === "none") return [];
  const patterns = spellings(flag)
    .map((spelling) => `"${command} ${spelling}"`)
    .join("|");
  if (flag.value === "file") return [`    ${patterns}) COMPREPLY=($(compgen -f -- "$current")); return ;;`];
  const words = flag.value === "other" ? "" : flag.value.join(" ");
  return [`    ${patterns}) COMPREPLY=($(compgen -W "${words}" -- "$current")); return ;;`];
}
