import { once } from "node:events";
import { systemClock } from "#runtime/clock";
import { createLog, logLevels, standardErrorWriter } from "#runtime/log";
import { oneOf, optionalText, port } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { copyKubeconfig } from "./kubeconfig-file.ts";

export const devclusterSettings = {
  port: port({ description: "port of the API server; 0 takes any free one", default: 0 }),
  kubeconfigFile: optionalText({ description: "write the administrator's kubeconfig to this file" }, "FILE"),
  logLevel: oneOf(logLevels, { description: "lowest level that is logged", default: "warn" }),
};

/** An embedded cluster that runs until SIGINT or SIGTERM; prints the path of its kubeconfig on standard output. */
export async function runDevcluster(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: "ctrlmesh devcluster",
    about: "Runs an embedded API server with a pod runner until it is interrupted.",
    table: devclusterSettings,
    argv,
    env,
  });
  if (settings === undefined) return 0;
  const { startCluster } = await import("#devcluster/cluster");
  const log = createLog({
    level: settings.logLevel,
    format: "text",
    part: "devcluster",
    clock: systemClock,
    write: standardErrorWriter(),
  });
  const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await using cluster = await startCluster({ port: settings.port, images: {}, log });
  if (settings.kubeconfigFile !== undefined) copyKubeconfig(cluster.kubeconfig, settings.kubeconfigFile);
  process.stdout.write(`${settings.kubeconfigFile ?? cluster.kubeconfig}\n`);
  await ended;
  return 0;
}
