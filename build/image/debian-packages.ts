import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** The Debian package that a file comes from. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly licenseText: string | undefined;
}

/** The package of each file that dpkg knows, by the file's path; of a system without dpkg none. */
export function debianPackages(paths: readonly string[]): ReadonlyMap<string, DebianPackage> {
  const asked = paths.flatMap((path) => [path, beforeMerge(path)]);
  // `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`
  const owners = new Map(
    lines(["--search", ...asked]).map((line) => {
      const [owner = "", path = ""] = line.split(": ");
      return [path, owner];
    }),
  );
  const packages = new Map(
    lines(["--show", ...new Set(owners.values())]).map((line) => {
      const [owner = "", version = ""] = line.split("\t");
      return [owner, describe(owner, version)];
    }),
  );
  return new Map(
    paths.flatMap((path) => {
      const found = packages.get(owners.get(path) ?? owners.get(beforeMerge(path)) ?? "");
      return found === undefined ? [] : [[path, found] as const];
    }),
  );
}

/** Packages from before /usr was merged list their libraries under /lib. */
function beforeMerge(path: string): string {
  return path.replace(/^\/usr\/lib/, "/lib");
}

function describe(owner: string, version: string): DebianPackage {
  const [name = ""] = owner.split(":");
  const copyright = `/usr/share/doc/${name}/copyright`;
  return {
    name,
    version,
    licenseText: existsSync(copyright) ? readFileSync(copyright, "utf8").trim() : undefined,
  };
}

/** dpkg-query ends with an error when one of many is not found, and still prints the others. */
function lines(argv: readonly string[]): readonly string[] {
  const { stdout, error } = spawnSync("dpkg-query", argv, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return error === undefined ? stdout.split("\n").filter((line) => line !== "") : [];
}
