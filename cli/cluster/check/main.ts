import { isApiError } from "#kube/client/api-error";
import { optionalText, toggle } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../../exit-codes.ts";
import { outputSetting, printAnswer } from "../../print.ts";
import { programName } from "../../program-name.ts";
import { type ClusterSession, connectionSettings, timeoutSetting, withCluster } from "../connection.ts";
import { type NamespaceInventory, readInventory } from "../inventory.ts";
import { readMeshSettings } from "../mesh-settings.ts";
import { readServedKinds } from "../served-kinds.ts";
import type { CheckContext } from "./check.ts";
import { checks, runCheck } from "./checks.ts";
import { type CheckReport, reportOf, reportText } from "./report.ts";
import { readServerClock } from "./server-clock.ts";

export const checkSettings = {
  pre: toggle({
    description: "look at a cluster before the installation: its API server, its clock and your rights",
    default: false,
  }),
  namespace: optionalText(
    { description: "look only at the operators of this namespace; without it at all of them", short: "n" },
    "NAME",
  ),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(120_000),
};

/** `ctrlmesh check`: 0 when no error was found, else 1. */
export async function runCheckCommand(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} check`,
    about:
      "Looks for what is wrong with a cluster or an installation, and says what to do about it. Ends with 0 when there is no error, 1 when there is one, 2 when a flag is wrong.",
    table: checkSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  return await withCluster(settings, env, async (session) => {
    const report = await check(session, settings.pre ? "before" : "after", settings.namespace);
    await printAnswer(settings.output, report, reportText);
    return report.ok ? exitCodes.good : exitCodes.problems;
  });
}

async function check(
  session: ClusterSession,
  phase: CheckReport["phase"],
  namespace: string | undefined,
): Promise<CheckReport> {
  const { progress } = session;
  const context = await progress.step("reading the mesh", () => readContext(session, namespace));
  const outcomes = await Promise.all(
    checks
      .filter((each) => each.phases.includes(phase))
      .map(async (each) => {
        const outcome = await progress.step(`check ${each.name}`, () => runCheck(each, context));
        return { name: each.name, ...outcome };
      }),
  );
  return reportOf(phase, outcomes);
}

async function readContext(
  { client, signal }: ClusterSession,
  namespace: string | undefined,
): Promise<CheckContext> {
  const call = { signal };
  const [settings, inventory, served, serverNowMs] = await Promise.all([
    readMeshSettings(client, call),
    readInventoryIfInstalled(client, namespace, signal),
    readServedKinds(client, call),
    readServerClock(client, call),
  ]);
  return { client, signal, settings, inventory, served, serverNowMs };
}

async function readInventoryIfInstalled(
  client: ClusterSession["client"],
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<readonly NamespaceInventory[]> {
  try {
    return await readInventory(client, namespace, { signal });
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND")) return [];
    throw thrown;
  }
}
