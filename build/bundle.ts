import { chmodSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";

/** The repository's root. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** A bundle of the program: which modules of the command table are in it, and where to have the others. */
interface Bundle {
  readonly has: (commandModule: string) => boolean;
  readonly elsewhere: string;
}

/**
 * - `proxy`: what runs in the pods of operators. Reading some hundred files is most of a proxy's start, and parsed
 *   sources that it never runs are part of its memory.
 * - `ctrlmesh`: all that users and the manager's pods run. The embedded cluster and the demo stay out: they run
 *   the examples' sources beside them.
 */
export const bundles = {
  proxy: {
    has: (path) => ["#proxy/main", "./init/main.ts", "./wait-ready.ts"].includes(path),
    elsewhere: "this command is not part of the proxy's bundle; run it from the full package",
  },
  ctrlmesh: {
    has: (path) => !["./demo/main.ts", "./devcluster.ts"].includes(path),
    elsewhere: "this command runs from the source tree only: npm ci && node cli/main.ts",
  },
} as const satisfies Readonly<Record<string, Bundle>>;

export type BundleName = keyof typeof bundles;

/**
 * Bundles the program into one executable file of CommonJS: an import of `node:http` in a module reads all that it
 * offers, and so loads Node's whole WebSocket and fetch, 4 MiB that a proxy never uses.
 *
 * @returns esbuild's account of what is in it
 * @throws of esbuild, and Error for a warning of it: a bundle that only might run is none
 */
export async function bundleProgram(name: BundleName, outfile: string): Promise<Metafile> {
  const { metafile, warnings } = await build({
    entryPoints: ["cli/main.ts"],
    absWorkingDir: root,
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    metafile: true,
    legalComments: "none",
    // Names stay, so that stack traces in logs still say where something happened.
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [withoutOtherCommands(bundles[name])],
  });
  if (warnings.length > 0) throw new Error(`${warnings.length} warnings in the bundle ${name}`);
  chmodSync(outfile, 0o755);
  return metafile;
}

/** In place of a command's module: says where the command is to be had. */
function withoutOtherCommands({ has, elsewhere }: Bundle): Plugin {
  return {
    name: "without-other-commands",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /./ }, ({ path, kind, importer }) =>
        kind === "dynamic-import" && importer.endsWith("/cli/main.ts") && !has(path)
          ? { path, namespace: "left-out", sideEffects: false }
          : undefined,
      );
      onLoad({ filter: /./, namespace: "left-out" }, () => ({
        contents: `throw new Error(${JSON.stringify(elsewhere)});`,
      }));
    },
  };
}
