#!/usr/bin/env node
import { CtrlmeshError, errorCodes, toCtrlmeshError } from "#api/errors";
import { version } from "#api/version";
import { type Environment, processEnvironment } from "#runtime/settings";

/** A command: gets what follows its name, resolves with the exit code of the process. */
type Command = (argv: readonly string[], env: Environment) => Promise<number>;

interface CommandRow {
  readonly about: string;
  /** Loads the part only when its command is called: a proxy must not pay for the manager. */
  readonly load: () => Promise<Command>;
}

const commands: Readonly<Record<string, CommandRow>> = {
  demo: {
    about: "shard an example operator on an embedded cluster and prove that each object has one owner",
    load: async () => (await import("./demo/main.ts")).runDemo,
  },
  check: {
    about: "look for what is wrong with a cluster or an installation, and what to do about it",
    load: async () => (await import("./cluster/check/main.ts")).runCheckCommand,
  },
  status: {
    about: "show shards: what they own, their pods, what is wrong",
    load: async () => (await import("./cluster/status.ts")).runStatus,
  },
  explain: {
    about: "tell which shard owns an object, by which rule, through which pod",
    load: async () => (await import("./cluster/explain.ts")).runExplain,
  },
  verify: {
    about: "prove on the live cluster that each object has exactly one owner",
    load: async () => (await import("./cluster/verify.ts")).runVerify,
  },
  plan: {
    about: "tell what applying ShardingConfigs would move and restart, without applying them",
    load: async () => (await import("./cluster/plan/main.ts")).runPlan,
  },
  uninstall: {
    about: "take ctrlmesh out of a cluster; refuses while pods with a proxy run",
    load: async () => (await import("./cluster/uninstall/main.ts")).runUninstall,
  },
  inject: {
    about: "show what injection makes of manifests, without a cluster",
    load: async () => (await import("./inject/main.ts")).runInject,
  },
  proxy: {
    about: "data plane: the sidecar of an operator pod",
    load: async () => (await import("#proxy/main")).runProxy,
  },
  manager: {
    about: "control plane: shards, snapshots, admission webhooks",
    load: async () => (await import("#manager/main")).runManager,
  },
  devcluster: {
    about: "an embedded API server with a pod runner, for trying things out",
    load: async () => (await import("./devcluster.ts")).runDevcluster,
  },
  init: {
    about: "redirect a pod's traffic to the API server to the proxy (mode iptables)",
    load: async () => (await import("./init/main.ts")).runInit,
  },
  "wait-ready": {
    about: "wait until a proxy is ready (start gate of an operator without native sidecars)",
    load: async () => (await import("./wait-ready.ts")).runWaitReady,
  },
};

function usage(): string {
  const rows = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(11)} ${about}`);
  return `ctrlmesh ${version}\n\nUsage: ctrlmesh COMMAND [flags]\n\nCommands:\n${rows.join("\n")}\n\nctrlmesh COMMAND --help tells a command's flags.\n`;
}

async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--version" || name === "version") {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(usage());
    return name === undefined ? 2 : 0;
  }
  const row = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (row === undefined) {
    throw new CtrlmeshError("INVALID_FLAG", {
      what: `there is no command "${name}"`,
      hint: "run ctrlmesh --help",
    });
  }
  const command = await row.load();
  return await command(rest, processEnvironment());
}

// No await at the top: the bundle for pods is CommonJS, which has none.
run(process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (thrown: unknown) => {
    const error = toCtrlmeshError(thrown);
    process.stderr.write(`ctrlmesh: ${error.code}: ${error.message}\n`);
    process.exitCode = errorCodes[error.code].exitCode;
  },
);
