import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildGoOperator } from "../reality/go-operator.ts";
import { root } from "./tiers.ts";

/** Format and vet of every Go module in the tree; the one that takes minutes is built here, once. */

let failed = false;
for (const module of globSync("{bench,e2e,examples}/**/go.mod", { cwd: root }).map(dirname).sort()) {
  const cwd = join(root, module);
  const format = spawnSync("gofmt", ["-l", "."], { cwd, encoding: "utf8" });
  const vet = spawnSync("go", ["vet", "./..."], { cwd, stdio: ["ignore", "inherit", "inherit"] });
  const isGood = format.status === 0 && format.stdout === "" && vet.status === 0;
  console.log(
    `${isGood ? "ok  " : "FAIL"} ${module}${format.stdout === "" ? "" : `: gofmt -w ${format.stdout}`}`,
  );
  failed ||= !isGood;
}
console.log(`ok   ${buildGoOperator()}`);
process.exitCode = failed ? 1 : 0;
