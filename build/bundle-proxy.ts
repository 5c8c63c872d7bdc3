import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleProgram } from "./bundle.ts";

/**
 * Bundles what runs in the pods of operators: `node build/bundle-proxy.ts [--outfile dist/proxy.cjs]`. The file is run
 * like the program: `node dist/proxy.cjs proxy`.
 */

const { values } = parseArgs({ options: { outfile: { type: "string", default: "dist/proxy.cjs" } } });
const outfile = resolve(values.outfile);
await bundleProgram("proxy", outfile);
console.log(`${relative(process.cwd(), outfile)}: ${(statSync(outfile).size / 1024).toFixed(0)} KiB`);
