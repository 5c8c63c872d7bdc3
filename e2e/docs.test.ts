import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...globSync("docs/**/*.md", { cwd: root }),
].sort();
const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

/** Who runs a command of the docs: a script, a test by a part of its name, or a table of steps by the step. */
type RunBy =
  | { readonly script: string }
  | { readonly file: string; readonly test: string }
  | { readonly file: string; readonly step: string };

const demo = (test: string): RunBy => ({ file: "e2e/flow/demo.test.ts", test });
const asking = (test: string): RunBy => ({ file: "e2e/flow/commands.test.ts", test });
const uninstall = (test: string): RunBy => ({ file: "e2e/flow/uninstall.test.ts", test });
const gate: RunBy = { script: ".ci/run" };

/** A step of whoever installs and looks after it. */
const administration = (step: string): Readonly<Record<string, RunBy>> => ({
  [step]: { file: "e2e/chart/install.test.ts", step: `"${step}"` },
});

const injectionCase = (command: string): RunBy => ({
  file: "e2e/journeys/injection/cases.ts",
  step: command,
});

/** Every command that the docs show. */
const commands: Readonly<Record<string, RunBy>> = {
  "npm ci": gate,
  "npm test": gate,
  // The gate runs what these call.
  "npm test -- unit": { script: "e2e/gate/main.ts" },
  "npm run check": { script: "e2e/gate/main.ts" },
  "npm run lint": { script: "e2e/gate/main.ts" },
  "npm run format": { script: "e2e/gate/main.ts" },
  "npm run cluster -- build": { script: "e2e/gate/main.ts" },
  "npm run e2e": { script: "e2e/gate/main.ts" },
  "npm run cluster -- start --background": {
    file: "e2e/reality/control-plane.test.ts",
    test: "one that was started in the background is ended by stop",
  },
  "node e2e/fuzz/http1/main.ts --inputs 1000000 --seed 20261121 -o json": {
    script: "e2e/fuzz/http1/main.ts",
  },
  "CTRLMESH_LEAK_CONNECTIONS=100000 node --test e2e/peers/leaks.test.ts": {
    file: "e2e/peers/leaks.test.ts",
    test: "cut at every stage",
  },
  // Of the record, which is taken by hand.
  "node e2e/soak/main.ts --minutes 120 --seed 7 --json record.json --plot record.svg": {
    script: "e2e/soak/main.ts",
  },
  "node e2e/soak/main.ts --minutes 10": { script: "e2e/soak/main.ts" },
  "node e2e/soak/main.ts --render RECORD.json": { file: "e2e/soak/render.test.ts", test: "puts figures" },
  "npm run generate": {
    file: "crds/generate.test.ts",
    test: "the committed files are what the generator makes",
  },
  // Half an hour on a quiet machine, so by hand.
  "npm run bench": { script: "bench/main.ts" },
  "npm run demo": demo("ends by itself"),
  "npm run demo -- --json": demo("ends by itself"),
  "npm run demo -- --keep": demo("--keep"),
  ...administration("helm install ctrlmesh charts/ctrlmesh --namespace ctrlmesh --create-namespace --wait"),
  ...administration("helm test ctrlmesh --namespace ctrlmesh"),
  ...administration("helm upgrade ctrlmesh charts/ctrlmesh --namespace ctrlmesh --wait"),
  ...administration("helm rollback ctrlmesh --namespace ctrlmesh --wait"),
  ...administration("helm uninstall ctrlmesh --namespace ctrlmesh --wait"),
  ...administration("kubectl -n ctrlmesh get pods,lease"),
  ...administration("kubectl -n ctrlmesh logs deployment/ctrlmesh-manager --tail=50"),
  ...administration("kubectl get shardingconfigs --all-namespaces"),
  "npm run image": {
    file: "build/image/image.test.ts",
    test: "it holds all that its programs need to start",
  },
  "npm run bundle": { file: "build/bundle-cli.test.ts", test: "the command is one file" },
  "node build/image/main.ts --root dist/image": {
    file: "Dockerfile",
    step: "node build/image/main.ts --root dist/image",
  },
  // No engine here; what it writes is what npm run image writes.
  "docker buildx build --platform linux/amd64,linux/arm64 .": {
    file: "build/image/dockerfile.test.ts",
    test: "containers start as in the image",
  },
  "kubectl get ledger": { file: "e2e/conformance/demo-kubectl.test.ts", step: '"get", "ledger"' },
  "kubectl annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy=true": {
    file: "e2e/conformance/kubectl-steps.ts",
    step: '"annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy=true"',
  },
  "kubectl annotate namespace demo ctrlmesh.kusionstack.io/proxy-mode=iptables": injectionCase(
    '"annotate namespace demo ctrlmesh.kusionstack.io/proxy-mode=iptables"',
  ),
  "kubectl describe shard a --namespace demo": injectionCase('"describe shard a --namespace demo"'),
  "kubectl delete pods --namespace demo --selector app=operator": injectionCase(
    '"delete pods --namespace demo --selector app=operator"',
  ),
  "kubectl logs statefulset/operator --namespace demo --container ctrlmesh-init": injectionCase(
    '"logs statefulset/operator --namespace demo --container ctrlmesh-init"',
  ),
  "ctrlmesh check": { file: "e2e/check/broken-setups.test.ts", test: "a good set-up has no error" },
  "ctrlmesh check -o json": { file: "e2e/check/check-bed.ts", step: '["check", "-o", "json", ...args]' },
  "ctrlmesh check --pre": { file: "e2e/check/broken-setups.ts", step: '["--pre"]' },
  "ctrlmesh status -n demo": asking("status: shows manager"),
  "ctrlmesh status --watch -n demo": asking("status --watch"),
  "ctrlmesh explain configmap/one -n team-c": asking("explain: names owner"),
  "ctrlmesh verify": asking("verify: every object"),
  "ctrlmesh verify -o json": asking("verify: every object"),
  "ctrlmesh plan -f shards.yaml": asking("plan: names what would move"),
  "ctrlmesh plan -f shards.yaml --detailed-exitcode": asking("plan: names what would move"),
  "ctrlmesh bundle -f dump.tar.gz": asking("bundle: holds objects"),
  "ctrlmesh uninstall --check": uninstall("refuses while pods have a proxy"),
  "ctrlmesh uninstall --drain --strip-labels --dry-run": uninstall("refuses while pods have a proxy"),
  "ctrlmesh uninstall --drain --strip-labels --yes": uninstall("refuses while pods have a proxy"),
  "source <(ctrlmesh completion bash)": {
    file: "cli/completion/main.test.ts",
    test: "bash completes commands",
  },
  "kubectl apply --server-side -f crds/": {
    file: "e2e/reality/real-mesh.ts",
    step: '["apply", "--server-side", "-f", join(root, "crds")]',
  },
  "ctrlmesh inject -f operator.yaml": { file: "cli/inject/main.test.ts", test: "operator.yaml with" },
};

/** Commands in fenced shell blocks, one a line or joined by &&, and in backticks; `kubectl apply` is only a name. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash|shell|console)\n(.*?)^```/gms)].flatMap(([, block = ""]) =>
    block.split("\n"),
  );
  const inline = [...text.replace(/^```.*?^```/gms, "").matchAll(/`([^`\n]+)`/g)].flatMap(([, code = ""]) =>
    /^(?:(?:npm|npx|node) |(?:kubectl|ctrlmesh|openssl|helm|docker|curl) \S+ \S)/.test(code) ? [code] : [],
  );
  return [...blocks, ...inline]
    .flatMap((line) => line.replace(/^\$ /, "").split(" && "))
    .map((command) => command.trim())
    .filter((command) => command !== "" && !command.startsWith("#"));
}

const shown = new Map(pages.map((page) => [page, commandsOf(textOf(page))]));

test("docs: every command that they show is run by a test or a script that is named here", () => {
  const unknown = [...shown].flatMap(([page, found]) =>
    found.filter((command) => commands[command] === undefined).map((command) => `${page}: ${command}`),
  );
  assert.deepEqual(unknown, []);
});

test("docs: no command is listed here that they do not show any more", () => {
  const all = new Set([...shown.values()].flat());
  assert.deepEqual(
    Object.keys(commands).filter((command) => !all.has(command)),
    [],
  );
});

test("docs: what is said to run a command exists and does", () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(textOf("package.json"));
  for (const [command, by] of Object.entries(commands)) {
    const name = /^npm run (\S+)/.exec(command)?.[1];
    assert.ok(name === undefined || scripts[name] !== undefined, `${command}: no such script`);
    if ("test" in by) {
      const names = existsSync(join(root, by.file)) ? textOf(by.file).match(/\btest\(\s*["'`][^\n]*/g) : [];
      assert.ok(
        names?.some((each) => each.includes(by.test)),
        `${command}: no test "${by.test}" in ${by.file}`,
      );
    } else if ("step" in by) assert.ok(textOf(by.file).includes(by.step), `${command}: no such step`);
    else if (by.script === ".ci/run") assert.match(textOf(by.script), new RegExp(`^${command}\\b`, "m"));
    else assert.ok(existsSync(join(root, by.script)));
  }
});

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");

test("docs: every link inside the tree leads somewhere, anchors included", () => {
  const broken = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, target))) return [`${page}: ${link}`];
      if (anchor === undefined) return [];
      const anchors = [...textOf(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
        anchorOf(heading),
      );
      return anchors.includes(anchor) ? [] : [`${page}: ${link}`];
    }),
  );
  assert.deepEqual(broken, []);
});

test("docs: every file that they name exists", () => {
  const files = globSync(
    "{api,crds,runtime,kube,proxy,webhook,manager,devcluster,cli,e2e,examples,bench,build,charts,docs,.ci}/**/*",
    {
      cwd: root,
    },
  );
  // A path may be short where the text says which folder it speaks of.
  const known = [...files, ...globSync("*", { cwd: root })].map((file) => `/${file}`);
  const missing = pages.flatMap((page) =>
    [...textOf(page).matchAll(/`([\w./-]+\.(?:ts|yaml|md|json)|(?:\w[\w-]*\/)+)`/g)].flatMap(
      ([, path = ""]) =>
        known.some((file) => file.endsWith(`/${path.replace(/\/$/, "")}`)) ? [] : [`${page}: ${path}`],
    ),
  );
  assert.deepEqual(missing, []);
});
