import { CtrlmeshError } from "#api/errors";
import { isApiError } from "#kube/client/api-error";
import { listAll } from "#kube/client/list-all";
import { duration, toggle } from "#runtime/setting-types";
import { type Environment, type Settings, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../../exit-codes.ts";
import { outputSetting, printAnswer, tableText } from "../../print.ts";
import { programName } from "../../program-name.ts";
import { type ClusterSession, connectionSettings, timeoutSetting, withCluster } from "../connection.ts";
import { kinds } from "../kinds.ts";
import { type MeshSettings, readMeshSettings } from "../mesh-settings.ts";
import { drainNamespace, interruptedOwners, notDrainable, type Owner, ownersOf, ownerText } from "./drain.ts";
import { type InjectedPod, placeOf, readInjectedPods, readOptedIn } from "./injected-pods.ts";
import { stripLabels } from "./strip-labels.ts";
import {
  presentClusterObjects,
  removeObject,
  removeRemains,
  removeShardingConfigs,
  stopManager,
} from "./take-away.ts";

export const uninstallSettings = {
  check: toggle({
    description: "only tell whether pods with a proxy are left: 0 when there is none, else 1",
    default: false,
  }),
  drain: toggle({
    description: "roll the operators out without proxies first; they stand still for that time",
    default: false,
  }),
  stripLabels: toggle({ description: "take the shard labels off all objects too", default: false }),
  dryRun: toggle({ description: "only tell what would be done", default: false }),
  yes: toggle({ description: "do it; nothing is taken away without this", default: false }),
  stepTimeout: duration({
    description: "how long one step may take: the end of pods, or until they are ready again",
    minMs: 1000,
    maxMs: 3_600_000,
    default: 180_000,
  }),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(1_800_000),
};

/** What `ctrlmesh uninstall` did or would do, as -o json prints it. */
export interface UninstallReport {
  /** Nothing stands against it. */
  readonly ok: boolean;
  /** Pods with a proxy that are left. */
  readonly pods: readonly InjectedPod[];
  readonly optedInNamespaces: readonly string[];
  /** Steps that were done; with --dry-run those that would be. */
  readonly steps: readonly string[];
  /** Why it was refused. */
  readonly refusal: string;
}

/** `ctrlmesh uninstall`: 0 when it is done (or may be done), 1 when pods with a proxy stand against it. */
export async function runUninstall(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} uninstall`,
    about:
      "Takes ctrlmesh out of a cluster: ShardingConfigs with what they hold, the manager, webhooks and policies, CA bundles. Refuses while pods with a proxy run, which would stand still without the manager. Kinds and rights go with the chart or the files that brought them.",
    table: uninstallSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  return await withCluster(settings, env, async (session) => {
    const report = settings.check ? await checkOnly(session) : await uninstall(settings, session);
    await printAnswer(settings.output, report, reportText);
    return report.ok ? exitCodes.good : exitCodes.problems;
  });
}

/** Asks for pods and namespaces only: what the chart's hook may read. */
async function checkOnly({ client, signal }: ClusterSession): Promise<UninstallReport> {
  const [pods, optedInNamespaces] = await Promise.all([
    readInjectedPods(client, { signal }),
    readOptedIn(client, { signal }),
  ]);
  return {
    ok: pods.length === 0,
    pods,
    optedInNamespaces,
    steps: [],
    refusal: refusalOf(pods, "drain them"),
  };
}

async function uninstall(
  settings: Settings<typeof uninstallSettings>,
  session: ClusterSession,
): Promise<UninstallReport> {
  const { client, signal } = session;
  if (!settings.yes && !settings.dryRun) {
    throw new CtrlmeshError("INVALID_FLAG", {
      where: "--yes",
      what: "nothing is taken away without it",
      hint: "look with --dry-run, then give --yes",
    });
  }
  const [mesh, pods, optedInNamespaces] = await Promise.all([
    readMeshSettings(client, { signal }),
    readInjectedPods(client, { signal }),
    readOptedIn(client, { signal }),
  ]);
  const report = { pods, optedInNamespaces };
  const stuck = notDrainable(pods);
  const refusal = settings.drain
    ? refusalOf(stuck, "end them by hand: nothing scales them, or their template asks for the proxy itself")
    : refusalOf(pods, "give --drain to roll them out without it") ||
      brokenOff(await interruptedOwners(session));
  if (refusal !== "") return { ...report, ok: false, steps: [], refusal };
  const steps = await plannedSteps(settings, mesh, pods, session);
  if (!settings.dryRun) for (const { run } of steps) await run();
  // One may have been created until the webhooks were gone, and waits for a manager that is not there any more.
  const left = settings.dryRun ? [] : await readInjectedPods(client, { signal });
  return {
    ok: left.length === 0,
    pods: settings.dryRun ? pods : left,
    optedInNamespaces,
    steps: steps.map(({ what }) => what),
    refusal: refusalOf(left, "they came while ctrlmesh was taken away, delete them"),
  };
}

/** Their operators would stay down for good. */
function brokenOff(owners: readonly Owner[]): string {
  if (owners.length === 0) return "";
  return `a drain broke off and left ${owners.map(ownerText).join(", ")} scaled down: give --drain to end it`;
}

function refusalOf(pods: readonly InjectedPod[], remedy: string): string {
  if (pods.length === 0) return "";
  return `${pods.length} pods run with a proxy and would stand still without the manager: ${remedy}`;
}

interface Step {
  readonly what: string;
  readonly run: () => Promise<unknown>;
}

/** In the only safe order: pods, then what they hold, then the manager, then what it keeps, labels at the end. */
async function plannedSteps(
  settings: Settings<typeof uninstallSettings>,
  mesh: MeshSettings,
  pods: readonly InjectedPod[],
  session: ClusterSession,
): Promise<Step[]> {
  const { progress } = session;
  const limitMs = settings.stepTimeout;
  const owners = settings.drain ? await ownersOf(pods, session) : [];
  const namespaces = [...new Set(owners.map(({ namespace }) => namespace))].sort();
  const configs = await shardingConfigCount(session);
  const objects = await presentClusterObjects(session);
  const step = (what: string, run: () => Promise<unknown>): Step => ({
    what,
    run: () => progress.step(what, run),
  });
  return [
    ...namespaces.map((namespace) => {
      const own = owners.filter((owner) => owner.namespace === namespace);
      return step(`roll out ${own.map(ownerText).join(", ")} without proxies, all at once`, () =>
        drainNamespace(namespace, own, session, limitMs),
      );
    }),
    ...(configs === 0
      ? []
      : [step(`delete ${configs} ShardingConfigs and their ledgers`, () => removeShardingConfigs(session))]),
    step(`end the manager in ${mesh.namespace}`, () => stopManager(mesh, session, limitMs)),
    ...objects.map(([kind, name]) =>
      step(`delete ${kind.resource} ${name}`, () => removeObject(kind, { name }, session)),
    ),
    ...(settings.stripLabels
      ? [step("take the shard labels off all objects", () => stripLabels(mesh, session))]
      : []),
    step("delete CA bundles, certificates and ManagerState", () => removeRemains(mesh, session)),
  ];
}

async function shardingConfigCount({ client, signal }: ClusterSession): Promise<number> {
  try {
    const query = { metadataOnly: true };
    return (await listAll(client, kinds.shardingConfigs, query, { signal })).objects.length;
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND")) return 0;
    throw thrown;
  }
}

function reportText({ ok, pods, optedInNamespaces, steps, refusal }: UninstallReport): string {
  const table = tableText([
    ["POD WITH A PROXY", "SHARD", "OWNER"],
    ...pods.map((pod) => [
      placeOf(pod),
      pod.shard,
      pod.owner === undefined ? "none" : `${pod.owner.kind}/${pod.owner.name}`,
    ]),
  ]);
  return [
    pods.length === 0 ? "no pod has a proxy\n" : table,
    optedInNamespaces.length === 0 ? "" : `opted in: ${optedInNamespaces.join(", ")}\n`,
    steps.map((what, index) => `${index + 1}. ${what}\n`).join(""),
    ok ? "" : `refused: ${refusal}\n`,
  ].join("");
}
