import { parseArgs } from "node:util";
import { CtrlmeshError } from "#api/errors";
import { type FeatureGates, parseFeatureGates } from "./feature-gates.ts";

export const usage = `Usage: npm run cluster -- COMMAND [flags]

A real control plane on loopback: etcd, kube-apiserver and kube-controller-manager, built from Go modules.

build     build what is missing (Go 1.26, once, about 6 minutes a version)
missing   list what is not built yet; exit code 1 when something is missing
start     boot a control plane, print the path of its kubeconfig, end it on Ctrl-C
stop      end all that were started with --background, crashed ones too
list      list those that run

--version V              Kubernetes version without "v"; build, missing: more than one may be given
                         (default: all that the tests run), start: one (default: the newest of these)
--feature-gate A=true    start: feature gate of kube-apiserver; more than one may be given
--api-servers N          start: kube-apiservers that share the etcd, 1 to 9 (default 1)
--background             start: return as soon as it is ready; "stop" ends it
--pid N                  stop: only the one that this process owns (owner.pid of "list -o json")
-o, --output text|json   how results are printed (default text)
-h, --help               this text

Exit codes: 0 done, 1 failed, 2 wrong flags.
Files lie in ~/.cache/ctrlmesh, or where CTRLMESH_CACHE says.`;

const commands = ["build", "missing", "start", "stop", "list"] as const;
type CommandName = (typeof commands)[number];

export interface Command {
  readonly name: CommandName | "help";
  /** Empty: the default. */
  readonly versions: readonly string[];
  readonly featureGates: FeatureGates;
  readonly apiServers: number;
  readonly background: boolean;
  /** Undefined: all. */
  readonly pid: number | undefined;
  readonly output: "text" | "json";
}

const forStart = ["feature-gate", "api-servers", "background"] as const;

/**
 * Reads the command line of the cluster tool.
 *
 * @throws INVALID_FLAG
 */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const { output = "text", background = false, help = false } = values;
  const name = help ? "help" : commandOf(positionals);
  const foreign = forStart.find((flag) => name !== "start" && values[flag] !== undefined);
  if (foreign !== undefined && name !== "help") refuse(`--${foreign} is a flag of start only`);
  const versions = (values.version ?? []).map(checkVersion);
  if (values.pid !== undefined && name !== "stop" && name !== "help") refuse("--pid is a flag of stop only");
  if (name === "start" && versions.length > 1) refuse("start takes one --version");
  if (versions.length > 0 && (name === "stop" || name === "list")) refuse(`${name} takes no --version`);
  if (output !== "text" && output !== "json") refuse(`--output is text or json, not "${output}"`);
  return {
    name,
    versions,
    featureGates: parseFeatureGates(values["feature-gate"] ?? []),
    apiServers: wholeNumber("--api-servers", values["api-servers"] ?? "1", /^[1-9]$/),
    background,
    pid: values.pid === undefined ? undefined : wholeNumber("--pid", values.pid, /^[1-9]\d{0,9}$/),
    output,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        version: { type: "string", multiple: true },
        "feature-gate": { type: "string", multiple: true },
        "api-servers": { type: "string" },
        background: { type: "boolean" },
        pid: { type: "string" },
        output: { type: "string", short: "o" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function commandOf(positionals: readonly string[]): CommandName {
  const [word, ...more] = positionals;
  const name = commands.find((each) => each === word);
  if (name === undefined) refuse(word === undefined ? "no command" : `there is no command "${word}"`);
  if (more.length > 0) refuse(`"${more.join(" ")}" is too much`);
  return name;
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
