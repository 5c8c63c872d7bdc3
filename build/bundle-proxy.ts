import { chmodSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, type Plugin } from "esbuild";

/**
 * Bundles the program with the commands that a pod needs into one file, since reading some hundred files is most of
 * a proxy's start and parsed sources that it never runs are part of its memory.
 *
 * `node build/bundle-proxy.ts [--outfile dist/proxy.cjs]`; the file is run like the program: `node dist/proxy.cjs proxy`.
 *
 * It is CommonJS: an import of `node:http` reads all that the module offers, and so loads Node's whole WebSocket and
 * fetch, 4 MiB that a proxy never uses.
 */

const root = fileURLToPath(new URL("..", import.meta.url));
/** Commands of the command table that stay out, by the module that they load. */
const otherCommands = ["./demo/main.ts", "#manager/main", "./devcluster.ts"];

/** In place of a command's module: says where the command is to be had. */
const withoutOtherCommands: Plugin = {
  name: "without-other-commands",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === "dynamic-import" && otherCommands.includes(path)
        ? { path, namespace: "left-out", sideEffects: false }
        : undefined,
    );
    onLoad({ filter: /./, namespace: "left-out" }, () => ({
      contents: `throw new Error("this command is not part of the proxy's bundle; run it from the full package");`,
    }));
  },
};

const { values } = parseArgs({ options: { outfile: { type: "string", default: "dist/proxy.cjs" } } });

const { metafile, warnings } = await build({
  entryPoints: ["cli/main.ts"],
  absWorkingDir: root,
  outfile: values.outfile,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node24",
  metafile: true,
  legalComments: "none",
  // Names stay, so that stack traces in logs still say where something happened.
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [withoutOtherCommands],
});
if (warnings.length > 0) process.exitCode = 1;
chmodSync(values.outfile, 0o755);
const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
console.log(`${relative(process.cwd(), values.outfile)}: ${(bytes / 1024).toFixed(0)} KiB`);
