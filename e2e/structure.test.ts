import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * The import diagram: room to the rooms it may import. A room is the longest matching prefix of a path.
 * "dynamic" edges are allowed by `import()` only, so that starting one part does not load another.
 */
const edges: Record<string, { static: readonly string[]; dynamic?: readonly string[] }> = {
  api: { static: [] },
  runtime: { static: ["api"] },
  "kube/wire": { static: ["api"] },
  "kube/client": { static: ["kube/wire", "runtime", "api"] },
  proxy: { static: ["kube/wire", "runtime", "api"] },
  webhook: { static: ["kube/wire", "runtime", "api"] },
  manager: { static: ["webhook", "kube/client", "kube/wire", "runtime", "api"] },
  devcluster: { static: ["kube/wire", "runtime", "api"] },
  cli: {
    static: ["webhook", "runtime", "api"],
    dynamic: ["proxy", "manager", "devcluster", "kube/client", "cli/cluster"],
  },
  // Loaded only for a command that asks an API server, so it may import what such a command needs.
  "cli/cluster": { static: ["cli", "webhook", "manager", "kube/client", "kube/wire", "runtime", "api"] },
  crds: { static: ["api"] },
  build: { static: ["api"] },
  examples: { static: [] },
  e2e: { static: ["build", "devcluster", "kube/client", "runtime", "api"] },
  "e2e/fuzz": { static: ["proxy", "runtime", "api"] },
  "e2e/peers": { static: ["proxy", "e2e/fuzz", "runtime", "api"] },
  bench: { static: ["build", "proxy", "kube/wire", "devcluster", "runtime", "api"] },
};

/** Inside the manager: these rooms import none of sharding, policy and rollout. */
const managerLeaves = ["manager/control", "manager/snapshot", "manager/mesh"];
const managerDeciders = ["manager/sharding", "manager/policy", "manager/rollout"];

/** Packages that exactly one room may load, because of their weight or their standing. */
const confined: Record<string, (file: string) => boolean> = {
  "@kubernetes/client-node": (file) => file.startsWith("kube/client/") || file.startsWith("examples/"),
  "@peculiar/x509": (file) => file === "runtime/x509.ts",
  "node-forge": (file) => file === "runtime/x509.ts",
  "@connectrpc/connect-node": (file) =>
    file.startsWith("manager/control/") ||
    file.startsWith("e2e/proxied/") ||
    /(\.test|fake-manager)\.ts$/.test(file),
  // The proxy has its own: a second one would be memory in every pod.
  "node:http2": (file) =>
    !file.startsWith("proxy/") || /(\.test|-harness|fake-manager|scripted-server)\.ts$/.test(file),
  "prom-client": (file) => file === "runtime/prometheus.ts",
};

const pattern =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^;"']*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|(import)\(\s*["']([^"']+)["']/g;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly dynamic: boolean;
}

function sourceFiles(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "node_modules" || entry.name.startsWith(".")) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return entry.name.endsWith(".ts") ? [relative(root, path)] : [];
  });
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(pattern)].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[5] ?? "";
    // A type import loads nothing, so it counts like a dynamic one.
    return {
      from: file,
      to: resolve(file, specifier),
      dynamic: match[4] !== undefined || match[1] !== undefined,
    };
  });
}

function resolve(file: string, specifier: string): string {
  if (specifier.startsWith(".")) return normalize(join(dirname(file), specifier));
  if (specifier.startsWith("#")) return `${specifier.slice(1)}.ts`;
  return specifier;
}

function roomOf(path: string): string | undefined {
  return Object.keys(edges)
    .filter((room) => path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

const files = sourceFiles();
const imports = files.flatMap(importsOf);
const isLocal = (edge: Import): boolean => edge.to.endsWith(".ts");

test("structure: every source file lies in a room of the house plan", () => {
  assert.deepEqual(
    files.filter((file) => roomOf(file) === undefined),
    [],
  );
});

test("structure: every import is read", () => {
  assert.deepEqual(
    imports.filter(({ to }) => to === ""),
    [],
  );
  const { length } = imports.filter(isLocal);
  assert.ok(length > files.length, `${length} imports of local files in ${files.length} files`);
});

test("structure: imports run only along the edges of the diagram", () => {
  const wrong = imports.filter((edge) => {
    if (!isLocal(edge)) return false;
    const from = roomOf(edge.from) ?? "";
    const to = roomOf(edge.to) ?? "";
    if (from === to) return false;
    const allowed = edges[from];
    return !(allowed?.static.includes(to) || (edge.dynamic && allowed?.dynamic?.includes(to)));
  });
  assert.deepEqual(
    wrong.map((edge) => `${edge.from} -> ${edge.to}`),
    [],
  );
});

test("structure: inside the manager the deciders import the leaves, never the other way round", () => {
  const wrong = imports.filter(
    (edge) =>
      managerLeaves.some((room) => edge.from.startsWith(`${room}/`)) &&
      managerDeciders.some((room) => edge.to.startsWith(`${room}/`)),
  );
  assert.deepEqual(
    wrong.map((edge) => `${edge.from} -> ${edge.to}`),
    [],
  );
});

/** What the CLI may know of the manager: rules that are decided purely, so that both judge alike. */
const judgedAlike = [
  "manager/ca.ts",
  "manager/settings.ts",
  "manager/snapshot/compile.ts",
  "manager/snapshot/view.ts",
  "manager/sharding/admission-policy.ts",
  "manager/sharding/config-objects.ts",
  "manager/sharding/discovery.ts",
  "manager/sharding/groups.ts",
  "manager/sharding/handover.ts",
  "manager/sharding/ledger.ts",
  "manager/sharding/plan.ts",
  "manager/sharding/pod-classes.ts",
  "manager/sharding/pod-facts.ts",
  "manager/sharding/resource-config.ts",
  "manager/sharding/resource-patterns.ts",
  "manager/sharding/round.ts",
  "manager/sharding/shard-limits.ts",
  "manager/sharding/shard-status.ts",
  "manager/sharding/stamp.ts",
];

test("structure: commands take from the manager what judges, never what acts", () => {
  const wrong = imports.filter(
    (edge) =>
      edge.from.startsWith("cli/cluster/") &&
      edge.to.startsWith("manager/") &&
      !judgedAlike.includes(edge.to),
  );
  assert.deepEqual(
    wrong.map((edge) => `${edge.from} -> ${edge.to}`),
    [],
  );
});

test("structure: heavy or unkept packages stay behind their one module", () => {
  const wrong = imports.filter((edge) => confined[edge.to]?.(edge.from) === false);
  assert.deepEqual(
    wrong.map((edge) => `${edge.from} -> ${edge.to}`),
    [],
  );
});

test("structure: no import cycle", () => {
  const next = new Map<string, string[]>();
  for (const edge of imports.filter((each) => isLocal(each) && !each.dynamic))
    next.set(edge.from, [...(next.get(edge.from) ?? []), edge.to]);
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `cycle: ${[...path, file].join(" -> ")}`);
    if (done.has(file)) return;
    for (const to of next.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

test("structure: files are named after what they hold", () => {
  const refused = /(^|\/)(utils?|helpers?|common|shared|lib|misc)(\.|\/|-|$)/;
  assert.deepEqual(
    files.filter((file) => refused.test(file)),
    [],
  );
});
