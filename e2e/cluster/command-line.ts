import { parseArgs } from "node:util";
import { CtrlmeshError } from "#api/errors";
import { type FeatureGates, parseFeatureGates } from "./feature-gates.ts";

export const usage = `Usage: npm run cluster -- COMMAND [flags]

Real Kubernetes, built from Go modules (Go 1.26).

Control planes: etcd, kube-apiserver and kube-controller-manager on loopback.
  start           boot one, print the path of its kubeconfig, end it on Ctrl-C
  stop            end all that were started with --background, crashed ones too

Clusters of one node, with kubelet, scheduler, kube-proxy, containerd and CoreDNS, IPv4 and IPv6, each in
namespaces of its own, so that several run side by side. They need Linux, root, and Debian's packages.
  up [NAME]       make and boot one, or boot one that was stopped; print the path of its kubeconfig
                  (default name: default)
  stop NAME       end all its processes and keep its state
  start NAME      boot it with the state that it had
  load NAME FILE  put an image archive (OCI layout or docker-archive, .tar) into its node, print the image's names;
                  there is no registry: pods use imagePullPolicy Never or IfNotPresent
  kubectl NAME -- ARGS
                  run kubectl of its version as its admin
  down NAME       remove all of it
  down --all      remove all but those that belong to a running test

Both:
  build           build what is missing: once, about 6 minutes a version on 2 cores; with --nodes about 9
  missing         list what is not built yet; exit code 1 when something is missing
  list            list control planes and clusters; whatever crashed processes have left is removed first, as by
                  up and down

--version V              Kubernetes version without "v"; build, missing: more than one may be given
                         (default: all that the tests run), start, up: one (default: the newest of these, or
                         CTRLMESH_KUBERNETES_VERSION)
--nodes                  build, missing: what nodes need too: kubelet and the others, CoreDNS, Helm, and the
                         packages containerd runc containernetworking-plugins iptables iproute2 conntrack,
                         which build installs with apt-get
--feature-gate A=true    start, up: feature gate of kube-apiserver; more than one may be given
--apiserver-arg=--X=Y    up: further argument of kube-apiserver; more than one may be given
--audit                  up: write an audit log, audit.log beside the kubeconfig
--api-servers N          start: kube-apiservers that share the etcd, 1 to 9 (default 1)
--background             start: return as soon as it is ready; "stop" ends it
--pid N                  stop: only the one that this process owns (owner.pid of "list -o json")
--all                    down: every cluster
-o, --output text|json   how results are printed (default text)
-h, --help               this text

Exit codes: 0 done, 1 failed, 2 wrong flags; of kubectl, its own.
Files lie in ~/.cache/ctrlmesh, or where CTRLMESH_CACHE says.`;

interface CommandRules {
  /** How many words follow the command's name. */
  readonly words: readonly [least: number, most: number];
  readonly flags: readonly FlagName[];
}

/** What each command takes besides --output and --help. Those with a cluster's name are told apart by it. */
const commands = {
  build: { words: [0, 0], flags: ["version", "nodes"] },
  missing: { words: [0, 0], flags: ["version", "nodes"] },
  start: { words: [0, 0], flags: ["version", "feature-gate", "api-servers", "background"] },
  stop: { words: [0, 0], flags: ["pid"] },
  list: { words: [0, 0], flags: [] },
  up: { words: [0, 1], flags: ["version", "feature-gate", "apiserver-arg", "audit"] },
  "start NAME": { words: [1, 1], flags: [] },
  "stop NAME": { words: [1, 1], flags: [] },
  load: { words: [2, 2], flags: [] },
  kubectl: { words: [1, 1], flags: [] },
  down: { words: [0, 1], flags: ["all"] },
} as const satisfies Record<string, CommandRules>;

type CommandName = keyof typeof commands;

export interface Command {
  readonly name: CommandName | "help";
  /** Name of a cluster; empty for commands without one. */
  readonly cluster: string;
  /** load: path of an image archive. */
  readonly archive: string;
  /** kubectl: what followed "--". */
  readonly kubectlArgs: readonly string[];
  /** Empty: the default. */
  readonly versions: readonly string[];
  readonly featureGates: FeatureGates;
  readonly apiserverArgs: readonly string[];
  readonly apiServers: number;
  readonly background: boolean;
  readonly nodes: boolean;
  readonly audit: boolean;
  readonly all: boolean;
  /** Undefined: all. */
  readonly pid: number | undefined;
  readonly output: "text" | "json";
}

/**
 * Reads the command line of the cluster tool.
 *
 * @throws INVALID_FLAG
 */
export function parseCommand(argv: readonly string[]): Command {
  const separator = argv.indexOf("--");
  const { values, positionals } = parse(separator < 0 ? argv : argv.slice(0, separator));
  const kubectlArgs = separator < 0 ? [] : argv.slice(separator + 1);
  const { output = "text", background = false, nodes = false, audit = false, all = false } = values;
  if (output !== "text" && output !== "json") refuse(`--output is text or json, not "${output}"`);
  const name = values.help === true ? "help" : commandOf(positionals);
  const words = positionals.slice(1);
  if (name !== "help") check(name, { words, flags: Object.keys(values), all, hasRest: separator >= 0 });
  const versions = (values.version ?? []).map(checkVersion);
  if ((name === "start" || name === "up") && versions.length > 1) refuse(`${name} takes one --version`);
  const [cluster = name === "up" ? "default" : "", archive = ""] = words;
  return {
    name,
    cluster,
    archive,
    kubectlArgs,
    versions,
    featureGates: parseFeatureGates(values["feature-gate"] ?? []),
    apiserverArgs: values["apiserver-arg"] ?? [],
    apiServers: wholeNumber("--api-servers", values["api-servers"] ?? "1", /^[1-9]$/),
    background,
    nodes,
    audit,
    all,
    pid: values.pid === undefined ? undefined : wholeNumber("--pid", values.pid, /^[1-9]\d{0,9}$/),
    output,
  };
}

const options = {
  version: { type: "string", multiple: true },
  "feature-gate": { type: "string", multiple: true },
  "apiserver-arg": { type: "string", multiple: true },
  "api-servers": { type: "string" },
  background: { type: "boolean" },
  nodes: { type: "boolean" },
  audit: { type: "boolean" },
  all: { type: "boolean" },
  pid: { type: "string" },
  output: { type: "string", short: "o" },
  help: { type: "boolean", short: "h" },
} as const;

type FlagName = keyof typeof options;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function commandOf([word, ...more]: readonly string[]): CommandName {
  const name = (word === "start" || word === "stop") && more.length > 0 ? `${word} NAME` : word;
  const known = (Object.keys(commands) as CommandName[]).find((each) => each === name);
  if (known === undefined) refuse(word === undefined ? "no command" : `there is no command "${word}"`);
  return known;
}

interface Given {
  readonly words: readonly string[];
  readonly flags: readonly string[];
  readonly all: boolean;
  readonly hasRest: boolean;
}

function check(name: CommandName, { words, flags, all, hasRest }: Given): void {
  const { words: range, flags: known }: CommandRules = commands[name];
  const [least, most] = range;
  if (words.length > most) refuse(`"${words.slice(most).join(" ")}" is too much`);
  if (words.length < least)
    refuse(words.length === 0 ? `${name} needs the name of a cluster` : `${name} needs a file`);
  const foreign = flags.find((flag) => flag !== "output" && !known.some((each) => each === flag));
  if (foreign !== undefined) refuse(`${name} takes no --${foreign}`);
  if (name === "down" && all === words.length > 0) refuse("down takes the name of a cluster or --all");
  if (hasRest !== (name === "kubectl"))
    refuse(hasRest ? `${name} takes nothing after "--"` : 'kubectl takes its arguments after "--"');
}

function checkVersion(text: string): string {
  if (!/^1\.\d+\.\d+$/.test(text)) refuse(`--version "${text}" is not like 1.36.3`);
  return text;
}

function wholeNumber(flag: string, text: string, form: RegExp): number {
  if (!form.test(text)) refuse(`${flag} "${text}" is no such number`);
  return Number(text);
}

function refuse(what: string): never {
  throw new CtrlmeshError("INVALID_FLAG", { what, hint: "npm run cluster -- --help" });
}
