import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));

function scriptFor(shell: string): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [main, "completion", shell], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** What bash offers after these words, the last of which is being typed. */
function offered(script: string, ...words: readonly string[]): readonly string[] {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const code = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _ctrlmesh; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", code], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout.split("\n").filter((line) => line !== "");
}

test("completion: bash completes commands, flags, and the values that a flag may have", () => {
  const script = scriptFor("bash");
  assert.deepEqual(offered(script, "ctrlmesh", "ver"), ["verify", "version"]);
  assert.deepEqual(offered(script, "ctrlmesh", "plan", "--det"), ["--detailed-exitcode"]);
  assert.deepEqual(offered(script, "ctrlmesh", "check", "-o", ""), ["table", "json", "yaml"]);
  assert.deepEqual(offered(script, "ctrlmesh", "check", "--output", "=", "js"), ["json"]);
  assert.deepEqual(offered(script, "ctrlmesh", "completion", "z"), ["zsh"]);
  assert.deepEqual(offered(script, "ctrlmesh", "check", "--namespace", ""), []);
  assert.ok(offered(script, "ctrlmesh", "plan", "-f", "/etc/host").includes("/etc/hosts"));
  assert.ok(offered(script, "ctrlmesh", "status", "-").includes("-w"));
});

test("completion: every command of the help text is completed in every shell, with its flags", () => {
  const help = spawnSync(process.execPath, [main, "--help"], { encoding: "utf8" }).stdout;
  const names = [...help.matchAll(/^ {2}(\S+) +\S/gm)].map(([, name = ""]) => name);
  assert.ok(names.includes("check") && names.includes("completion") && names.length > 12, help);
  const zsh = scriptFor("zsh");
  const fish = scriptFor("fish");
  const bash = offered(scriptFor("bash"), "ctrlmesh", "");
  for (const name of names) {
    assert.ok(bash.includes(name), name);
    assert.match(zsh, new RegExp(`^ {4}'${name}:.*'$`, "m"));
    assert.match(zsh, new RegExp(`^ {4}${name}\\)$`, "m"));
    assert.match(fish, new RegExp(`-n __fish_use_subcommand -f -a ${name} -d '`));
  }
  assert.match(zsh, /'\(-o --output\)'\{-o,--output\}'\[[^\]]+\]:value:\(table json yaml\)'/);
  assert.match(fish, /from check' -l output -s o -x -a 'table json yaml' -d '/);
});

for (const [shell, args] of [
  ["zsh", ["-n"]],
  ["fish", ["--no-execute"]],
] as const) {
  const isThere = spawnSync(shell, ["--version"]).status === 0;
  test(`completion: ${shell} reads its script`, {
    skip: isThere ? false : `${shell} is not installed`,
  }, () => {
    const { status, stderr } = spawnSync(shell, [...args], { input: scriptFor(shell), encoding: "utf8" });
    assert.deepEqual([status, stderr], [0, ""]);
  });
}
