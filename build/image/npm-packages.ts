import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { root } from "../bundle.ts";

/** A package of which something is in a bundle. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression; undefined when the package states none. */
  readonly license: string | undefined;
  /** Subresource Integrity of the package's archive. */
  readonly integrity: string | undefined;
  readonly licenseText: string | undefined;
}

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
}

/** The packages that the bundles really hold, by name: what no line of is left after bundling does not count. */
export function bundledPackages(metafiles: readonly Metafile[]): readonly NpmPackage[] {
  const lock: { packages: Record<string, LockedPackage> } = JSON.parse(
    readFileSync(join(root, "package-lock.json"), "utf8"),
  );
  const outputs = metafiles.flatMap((metafile) => Object.values(metafile.outputs));
  const inputs = outputs.flatMap((output) =>
    Object.entries(output.inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
  );
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined));
  return [...folders].sort().map((folder) => {
    const locked = lock.packages[folder];
    if (locked?.version === undefined) throw new Error(`${folder} is not in package-lock.json`);
    return {
      name: folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length),
      version: locked.version,
      license: locked.license,
      integrity: locked.integrity,
      licenseText: licenseText(join(root, folder)),
    };
  });
}

/** `node_modules/a/node_modules/@b/c/d.js` is of `node_modules/a/node_modules/@b/c`, wherever the first one lies. */
function packageFolder(path: string): string | undefined {
  return /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
}

/** Text of the license file in a folder. */
export function licenseText(folder: string): string | undefined {
  const [name] = globSync("{LICENSE,LICENCE,License,license}{,.md,.txt,-MIT}", { cwd: folder }).sort();
  return name && readFileSync(join(folder, name), "utf8").trim();
}
