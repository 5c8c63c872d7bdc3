import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Rewrites api/gen from api/proto. The output folder is emptied first, so that a removed message leaves no file.
const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}api/gen`, { recursive: true, force: true });
const result = spawnSync("buf", ["generate"], { cwd: root, stdio: "inherit" });
process.exitCode = result.status ?? 1;
