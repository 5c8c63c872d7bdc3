import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleProgram } from "./bundle.ts";

/**
 * Bundles what users and the manager's pods run: `node build/bundle-cli.ts [--outfile dist/ctrlmesh.cjs]`. The file
 * needs nothing but Node 24 and works under any name, `kubectl-ctrlmesh` too.
 */

const { values } = parseArgs({ options: { outfile: { type: "string", default: "dist/ctrlmesh.cjs" } } });
const outfile = resolve(values.outfile);
await bundleProgram("ctrlmesh", outfile);
console.log(`${relative(process.cwd(), outfile)}: ${(statSync(outfile).size / 1024).toFixed(0)} KiB`);
