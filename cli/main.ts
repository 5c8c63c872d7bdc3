#!/usr/bin/env node
import { CtrlmeshError, errorCodes, toCtrlmeshError } from "#api/errors";
import { version } from "#api/version";
import { nearestName } from "#runtime/nearest-name";
import { processEnvironment } from "#runtime/settings";
import type { CommandTable } from "./command-row.ts";
import { programName } from "./program-name.ts";

const commands: CommandTable = {
  demo: {
    about: "shard an example operator on an embedded cluster and prove that each object has one owner",
    load: async () => (await import("./demo/main.ts")).runDemo,
    settings: async () => (await import("./demo/main.ts")).demoSettings,
  },
  check: {
    about: "look for what is wrong with a cluster or an installation, and what to do about it",
    load: async () => (await import("./cluster/check/main.ts")).runCheckCommand,
    settings: async () => (await import("./cluster/check/main.ts")).checkSettings,
  },
  status: {
    about: "show shards: what they own, their pods, what is wrong",
    load: async () => (await import("./cluster/status.ts")).runStatus,
    settings: async () => (await import("./cluster/status.ts")).statusSettings,
  },
  explain: {
    about: "tell which shard owns an object, by which rule, through which pod",
    load: async () => (await import("./cluster/explain.ts")).runExplain,
    settings: async () => (await import("./cluster/explain.ts")).explainSettings,
  },
  verify: {
    about: "prove on the live cluster that each object has exactly one owner",
    load: async () => (await import("./cluster/verify.ts")).runVerify,
    settings: async () => (await import("./cluster/verify.ts")).verifySettings,
  },
  plan: {
    about: "tell what applying ShardingConfigs would move and restart, without applying them",
    load: async () => (await import("./cluster/plan/main.ts")).runPlan,
    settings: async () => (await import("./cluster/plan/main.ts")).planSettings,
  },
  bundle: {
    about: "write a support dump without secrets: objects, logs, metrics, events",
    load: async () => (await import("./cluster/bundle/main.ts")).runBundle,
    settings: async () => (await import("./cluster/bundle/main.ts")).bundleSettings,
  },
  uninstall: {
    about: "take ctrlmesh out of a cluster; refuses while pods with a proxy run",
    load: async () => (await import("./cluster/uninstall/main.ts")).runUninstall,
    settings: async () => (await import("./cluster/uninstall/main.ts")).uninstallSettings,
  },
  inject: {
    about: "show what injection makes of manifests, without a cluster",
    load: async () => (await import("./inject/main.ts")).runInject,
    settings: async () => (await import("./inject/main.ts")).injectSettings,
  },
  proxy: {
    about: "data plane: the sidecar of an operator pod",
    load: async () => (await import("#proxy/main")).runProxy,
    settings: async () => (await import("#proxy/settings")).proxySettings,
  },
  manager: {
    about: "control plane: shards, snapshots, admission webhooks",
    load: async () => (await import("#manager/main")).runManager,
    settings: async () => (await import("#manager/settings")).managerSettings,
  },
  devcluster: {
    about: "an embedded API server with a pod runner, for trying things out",
    load: async () => (await import("./devcluster.ts")).runDevcluster,
    settings: async () => (await import("./devcluster.ts")).devclusterSettings,
  },
  init: {
    about: "redirect a pod's traffic to the API server to the proxy (mode iptables)",
    load: async () => (await import("./init/main.ts")).runInit,
    settings: async () => (await import("./init/main.ts")).initSettings,
  },
  "wait-ready": {
    about: "wait until a proxy is ready (start gate of an operator without native sidecars)",
    load: async () => (await import("./wait-ready.ts")).runWaitReady,
    settings: async () => (await import("./wait-ready.ts")).waitReadySettings,
  },
};

function table(): CommandTable {
  return {
    ...commands,
    completion: {
      about: "print a script that lets bash, zsh or fish complete commands",
      load: async () => (await import("./completion/main.ts")).completionOf(table()),
      settings: async () => (await import("./completion/main.ts")).completionSettings,
    },
    version: {
      about: "print the version of this program",
      load: async () => (await import("./version.ts")).runVersion,
      settings: async () => (await import("./version.ts")).versionSettings,
    },
  };
}

function usage(): string {
  const rows = Object.entries(table()).map(([name, { about }]) => `  ${name.padEnd(11)} ${about}`);
  const program = programName();
  return `ctrlmesh ${version}\n\nUsage: ${program} COMMAND [flags]\n\nCommands:\n${rows.join("\n")}\n\n${program} COMMAND --help tells a command's flags.\n`;
}

async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(usage());
    return name === undefined ? 2 : 0;
  }
  // Also in the pods' bundle, which has no command of that name.
  if (name === "--version") {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  const all = table();
  const row = Object.hasOwn(all, name) ? all[name] : undefined;
  if (row === undefined) {
    const nearest = nearestName(name, Object.keys(all));
    throw new CtrlmeshError("INVALID_FLAG", {
      what: `there is no command "${name}"`,
      hint: nearest === undefined ? `run ${programName()} --help` : `did you mean ${nearest}?`,
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
