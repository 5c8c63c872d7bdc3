import { isApiError } from "#kube/client/api-error";
import { systemClock } from "#runtime/clock";
import { optionalText, toggle } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../exit-codes.ts";
import { outputSetting, printAnswer } from "../print.ts";
import { programName } from "../program-name.ts";
import { type ClusterSession, connectionSettings, timeoutSetting, withCluster } from "./connection.ts";
import { kinds } from "./kinds.ts";
import { readMeshStatus } from "./mesh-status.ts";
import { statusText } from "./status-text.ts";

export const statusSettings = {
  namespace: optionalText(
    { description: "show only the shards of this namespace; without it those of all", short: "n" },
    "NAME",
  ),
  watch: toggle({ description: "show it again at each change until Ctrl-C", short: "w", default: false }),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(60_000),
};

/** Changes come in bunches: one look shows all of one. */
const settleMs = 300;
const watchPauseMs = 2_000;
const longestWatchMs = 2 ** 31 - 1;

/** `ctrlmesh status`: 0 when it could be read. */
export async function runStatus(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} status`,
    about: "Shows the shards: what they own, their pods, what these have acknowledged, and what is wrong.",
    table: statusSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  const { namespace, output, watch } = settings;
  const timeout = watch ? longestWatchMs : settings.timeout;
  return await withCluster({ ...settings, timeout }, env, async (session) => {
    for (;;) {
      const { status, resourceVersion } = await readMeshStatus(session.client, namespace, session);
      await printAnswer(output, status, statusText);
      if (!watch) return exitCodes.good;
      await nextChange(session, namespace, resourceVersion);
      process.stdout.write(output === "yaml" ? "---\n" : output === "table" ? "\n" : "");
    }
  });
}

/** Resolves some moments after the next change of a ShardingConfig, or when the watch can't go on. */
async function nextChange(
  { client, signal }: ClusterSession,
  namespace: string | undefined,
  resourceVersion: string,
): Promise<void> {
  const query = { resourceVersion, ...(namespace === undefined ? {} : { namespace }) };
  try {
    for await (const event of client.watch(kinds.shardingConfigs, query, { signal })) {
      if (event.type === "BOOKMARK") continue;
      await systemClock.sleep(settleMs, signal);
      return;
    }
  } catch (thrown) {
    signal.throwIfAborted();
    const isPassing = isApiError(thrown, "API_EXPIRED") || isApiError(thrown, "API_UNREACHABLE");
    if (!isPassing) throw thrown;
  }
  await systemClock.sleep(watchPauseMs, signal);
}
