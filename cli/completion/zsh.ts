import { type CompletedCommand, type CompletedFlag, plain } from "./words.ts";

/** A script for zsh: to be sourced, or to lie as `_ctrlmesh` in a folder of $fpath. */
export function zshScript(commands: readonly CompletedCommand[]): string {
  const descriptions = commands.map(({ name, about }) => `    '${name}:${plain(about)}'`);
  const cases = commands.map(({ name, flags, words }) => {
    const lines = [
      ...flags.map((flag) => `'${argument(flag)}'`),
      ...(words.length === 0 ? [] : [`'1:word:(${words.join(" ")})'`]),
    ];
    return `    ${name})\n      _arguments ${lines.join(" \\\n        ")} ;;`;
  });
  return `#compdef ctrlmesh
# zsh completion of ctrlmesh. Load it with: source <(ctrlmesh completion zsh)
_ctrlmesh() {
  local -a commands
  commands=(
${descriptions.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join("\n")}
  esac
}
compdef _ctrlmesh ctrlmesh
`;
}

function argument({ name, short, about, value }: CompletedFlag): string {
  const spelling = short === undefined ? `--${name}` : `(-${short} --${name})'{-${short},--${name}}'`;
  const action =
    value === "none"
      ? ""
      : value === "file"
        ? ":file:_files"
        : value === "other"
          ? ":value: "
          : `:value:(${value.join(" ")})`;
  return `${spelling}[${plain(about)}]${action}`;
}
