import type { ShardingConfig } from "#api/sharding-config";
import { listAll } from "#kube/client/list-all";
import { observePod } from "#manager/sharding/pod-classes";
import { patternOf } from "#manager/sharding/shard-limits";
import { planFindings } from "#manager/sharding/shard-status";
import { list, optionalText, toggle } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../../exit-codes.ts";
import { outputSetting, printAnswer } from "../../print.ts";
import { programName } from "../../program-name.ts";
import { type ClusterSession, connectionSettings, timeoutSetting, withCluster } from "../connection.ts";
import { type NamespaceInventory, readInventory } from "../inventory.ts";
import { kinds } from "../kinds.ts";
import { type MeshSettings, readMeshSettings } from "../mesh-settings.ts";
import { readServedKinds, type ServedKinds } from "../served-kinds.ts";
import { affectedBy, type MoveOfOperator } from "./affected.ts";
import { movesBetween } from "./moves.ts";
import { type Plan, planText } from "./plan-text.ts";
import { type Rehearsal, rehearse } from "./rehearse.ts";
import { judgedByServer, readWantedConfigs, withWanted } from "./wanted-configs.ts";

export const planSettings = {
  file: list(
    { description: "ShardingConfigs that are going to be applied; - is standard input", short: "f" },
    "FILE",
  ),
  namespace: optionalText(
    { description: "namespace of objects that name none; without it that of the context", short: "n" },
    "NAME",
  ),
  detailedExitcode: toggle({
    description: "end with 3 when something would move or restart",
    default: false,
  }),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(300_000),
};

/** `ctrlmesh plan`: what applying a file would move, without applying it. */
export async function runPlan(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} plan`,
    about:
      "Tells before you apply ShardingConfigs what would move from which shard to which, and which pods would restart. Changes nothing. Ends with 0, with 2 when the file is wrong, and with 3 when something would move and --detailed-exitcode is given.",
    table: planSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  return await withCluster(settings, env, async (session) => {
    const namespace = settings.namespace ?? session.client.namespace ?? "default";
    const wanted = await readWantedConfigs(settings.file, namespace);
    const plan = await planOf(wanted, session);
    await printAnswer(settings.output, plan, planText);
    const changes = plan.moves.length + plan.restarts.length > 0;
    return changes && settings.detailedExitcode ? exitCodes.changes : exitCodes.good;
  });
}

interface Deps {
  readonly settings: MeshSettings;
  readonly served: ServedKinds;
}

async function planOf(wanted: readonly ShardingConfig[], session: ClusterSession): Promise<Plan> {
  const { client } = session;
  const [settings, served, inventory] = await Promise.all([
    readMeshSettings(client, session),
    readServedKinds(client, session),
    readInventory(client, undefined, session),
  ]);
  const judged = await Promise.all(wanted.map((config) => judgedByServer(client, config, session)));
  const namespaces = [...new Set(wanted.map(({ metadata }) => metadata.namespace ?? ""))].sort();
  const rehearsed = await Promise.all(
    namespaces.map(async (namespace) => {
      const present =
        inventory.find((each) => each.namespace === namespace) ?? (await emptyInventory(namespace, session));
      const own = wanted.filter(({ metadata }) => metadata.namespace === namespace);
      return rehearsedChange(withWanted(present, own, new Date()), { settings, served });
    }),
  );
  return {
    moves: await affectedBy(
      rehearsed.flatMap(({ moves }) => moves),
      settings,
      session,
    ),
    restarts: rehearsed.flatMap(({ restarts }) => restarts),
    warnings: [
      ...(judged.every(Boolean) ? [] : ["you may not apply these: the API server has not judged them"]),
      ...rehearsed.flatMap(({ warnings }) => warnings),
    ],
  };
}

/** A namespace without shards so far may have pods that a new one selects. */
async function emptyInventory(
  namespace: string,
  { client, signal }: ClusterSession,
): Promise<NamespaceInventory> {
  const { objects } = await listAll(client, kinds.pods, { namespace }, { signal });
  return {
    namespace,
    objects: [],
    configs: { readable: [], unreadable: new Map() },
    ledgers: [],
    ledgerVersions: new Map(),
    pods: objects.map(observePod),
    podObjects: objects,
  };
}

function rehearsedChange(next: NamespaceInventory, { settings, served }: Deps) {
  const { namespace, ledgers } = next;
  const rehearsal = rehearse(next, settings, served);
  const moves = movesBetween(ledgers, rehearsal.ledgers, settings.hash).map((move): MoveOfOperator => {
    const rounds = rehearsal.round.ledgers.filter(({ duty }) => duty.ledgerName === move.ledger);
    const specs = [...ledgers, ...rehearsal.ledgers].flatMap((each) =>
      each.name === move.ledger && "spec" in each ? [each.spec] : [],
    );
    const limits = rounds.flatMap(({ plan }) =>
      plan.shards.flatMap(({ view }) => view.limits.map(patternOf)),
    );
    return {
      ...move,
      namespace,
      limited: served.resolve(limits),
      named: new Set(specs.flatMap(({ atoms }) => atoms.map(({ atom }) => atom))),
    };
  });
  const onLoss = new Map(next.configs.readable.map(({ metadata, spec }) => [metadata.name, spec.onLoss]));
  return {
    moves,
    restarts: rehearsal.restarts.map((each) => ({
      ...each,
      namespace,
      onLoss: onLoss.get(each.shard) ?? "",
    })),
    warnings: warningsOf(rehearsal, namespace),
  };
}

function warningsOf({ round }: Rehearsal, namespace: string): string[] {
  const told = round.ledgers.flatMap(({ plan, ledger }) => [
    ...plan.blockers.map((blocker) => `${namespace}: nothing is granted: ${blocker}`),
    ...plan.shards.flatMap((planned) =>
      planFindings(planned, ledger, plan).map(({ type, message }) =>
        type === "Gap"
          ? `${namespace}: Gap: ${message}`
          : `${namespace}/${planned.name}: ${type}: ${message}`,
      ),
    ),
  ]);
  const conflicts = [...round.findings].flatMap(([shard, findings]) =>
    findings
      .filter(({ type }) => type === "PodConflict")
      .map(({ message }) => `${namespace}/${shard}: ${message}`),
  );
  return [...new Set([...told, ...conflicts])];
}
