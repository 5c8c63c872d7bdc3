import { optionalText } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../exit-codes.ts";
import type { Sample } from "../owner-tally.ts";
import { outputSetting, printAnswer, tableText } from "../print.ts";
import { programName } from "../program-name.ts";
import { type ClusterSession, connectionSettings, timeoutSetting, withCluster } from "./connection.ts";
import { type NamespaceInventory, readInventory, shardsWithoutLedger } from "./inventory.ts";
import { type MeshSettings, readMeshSettings } from "./mesh-settings.ts";
import { roundOf } from "./rounds.ts";
import { readServedKinds, type ServedKinds } from "./served-kinds.ts";
import { type KindTally, type LedgerPlace, tallyKinds, uncountedVersions } from "./verify-kinds.ts";

export const verifySettings = {
  namespace: optionalText(
    { description: "verify only the operators of this namespace; without it all of them", short: "n" },
    "NAME",
  ),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(900_000),
};

/** The proof, or what breaks it, as -o json prints it. */
export interface Proof {
  /** Every atom is granted at most once, and every object of a limited kind is seen by exactly one shard. */
  readonly exactlyOneOwner: boolean;
  readonly objects: number;
  readonly atoms: readonly AtomCount[];
  readonly kinds: readonly KindTally[];
  /** What breaks the proof, a sentence each. */
  readonly problems: readonly string[];
  /** True when a ledger changed during each attempt: nothing is proven then. */
  readonly moving: boolean;
}

export interface AtomCount {
  readonly ledger: string;
  readonly held: number;
  readonly revoking: number;
  readonly free: number;
}

/** A move that goes on changes a ledger several times. */
const attempts = 3;

/** `ctrlmesh verify`: 0 when each object has exactly one owner, else 1. */
export async function runVerify(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} verify`,
    about:
      "Proves on the live cluster that each object of the sharded kinds has exactly one owner: counts all of them, unlabelled and exempt ones too, under what the ledgers grant. Ends with 0 when it holds, 1 when it does not.",
    table: verifySettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  return await withCluster(settings, env, async (session) => {
    const proof = await verify(session, settings.namespace);
    await printAnswer(settings.output, proof, proofText);
    return proof.exactlyOneOwner ? exitCodes.good : exitCodes.problems;
  });
}

/** Judges what was true from before to after the counting: it is done again when a ledger changed meanwhile. */
async function verify(session: ClusterSession, namespace: string | undefined): Promise<Proof> {
  const [settings, served] = await Promise.all([
    readMeshSettings(session.client, session),
    readServedKinds(session.client, session),
  ]);
  for (let attempt = 1; ; attempt++) {
    const before = await readInventory(session.client, namespace, session);
    const kinds = await tallyKinds(ledgersOf(before), settings, served, session);
    const after = await readInventory(session.client, namespace, session);
    const moving = versionsOf(before) !== versionsOf(after);
    if (!moving || attempt === attempts) return proofOf(after, kinds, moving, { settings, served });
    session.progress.note("a ledger has changed meanwhile: counting again");
  }
}

function ledgersOf(inventory: readonly NamespaceInventory[]): LedgerPlace[] {
  return inventory.flatMap(({ namespace, ledgers }) =>
    ledgers.flatMap((ledger) =>
      "spec" in ledger ? [{ namespace, name: ledger.name, spec: ledger.spec }] : [],
    ),
  );
}

function versionsOf(inventory: readonly NamespaceInventory[]): string {
  return JSON.stringify(
    inventory.map(({ namespace, ledgerVersions }) => [namespace, ...[...ledgerVersions].sort().flat()]),
  );
}

function proofOf(
  inventory: readonly NamespaceInventory[],
  kinds: readonly KindTally[],
  moving: boolean,
  deps: { readonly settings: MeshSettings; readonly served: ServedKinds },
): Proof {
  const ledgers = ledgersOf(inventory);
  const problems = [
    ...(moving ? ["a ledger changed during each attempt: run it again when nothing moves"] : []),
    ...inventory.flatMap((each) => inventoryProblems(each, deps)),
    ...uncountedVersions(ledgers, deps.served).map(
      (version) => `${version}: its server does not answer, so its kinds, which are limited, are not counted`,
    ),
    ...kinds.flatMap(kindProblems),
  ];
  // Without a ledger nothing is granted to anybody, and nothing is proven.
  if (ledgers.length === 0) problems.push("there is no ledger: nothing is sharded");
  return {
    exactlyOneOwner: problems.length === 0,
    objects: kinds.reduce((sum, { objects }) => sum + objects, 0),
    atoms: ledgers.map(({ namespace, name, spec }) => {
      const inState = (state: string): number => spec.atoms.filter((atom) => atom.state === state).length;
      return {
        ledger: `${namespace}/${name}`,
        held: inState("Held"),
        revoking: inState("Revoking"),
        free: inState("Free"),
      };
    }),
    kinds,
    problems,
    moving,
  };
}

function inventoryProblems(
  each: NamespaceInventory,
  { settings, served }: { readonly settings: MeshSettings; readonly served: ServedKinds },
): string[] {
  const corrupt = each.ledgers.flatMap((ledger) =>
    "corrupt" in ledger ? [`ledger ${each.namespace}/${ledger.name}: ${ledger.corrupt.message}`] : [],
  );
  const uninjected = [...roundOf(each, settings, served).findings].flatMap(([shard, findings]) =>
    findings
      .filter(({ type }) => type === "UninjectedPods")
      .map(({ message }) => `shard ${each.namespace}/${shard}: ${message}`),
  );
  const ungranted = shardsWithoutLedger(each).map(
    (shard) => `shard ${each.namespace}/${shard}: no ledger knows it, so what it claims has no owner`,
  );
  return [...corrupt, ...uninjected, ...ungranted, ...doubleGrants(each)];
}

/** The schema lets no atom stand twice in one ledger; two ledgers may still name one shard. */
function doubleGrants({ namespace, ledgers }: NamespaceInventory): string[] {
  const holders = new Map<string, string>();
  const problems: string[] = [];
  for (const ledger of ledgers) {
    if (!("spec" in ledger)) continue;
    for (const shard of ledger.spec.shards) {
      for (const { uid, pod } of shard.holders) {
        const other = holders.get(uid);
        if (other !== undefined)
          problems.push(`pod ${namespace}/${pod} holds by two ledgers, ${other} and ${ledger.name}`);
        holders.set(uid, ledger.name);
      }
    }
    const atoms = ledger.spec.atoms.map(({ atom }) => atom);
    const twice = atoms.filter((atom, index) => atoms.indexOf(atom) !== index);
    if (twice.length > 0)
      problems.push(`ledger ${namespace}/${ledger.name} grants ${twice.join(", ")} more than once`);
  }
  return problems;
}

function kindProblems({ ledger, kind, unowned, shared, mislabelled }: KindTally): string[] {
  const sentence = ({ count, examples }: Sample, what: string): string[] =>
    count === 0 ? [] : [`${ledger}: ${count} ${kind} ${what}, for example ${examples.join(", ")}`];
  return [
    ...sentence(unowned, "have no owner"),
    ...sentence(shared, "are seen by more than one shard"),
    ...sentence(mislabelled, "carry the shard labels of another namespace"),
  ];
}

function proofText({ exactlyOneOwner, objects, atoms, kinds, problems }: Proof): string {
  const grants = tableText([
    ["LEDGER", "HELD", "REVOKING", "FREE"],
    ...atoms.map(({ ledger, held, revoking, free }) => [
      ledger,
      String(held),
      String(revoking),
      String(free),
    ]),
  ]);
  const counts = tableText([
    ["LEDGER", "KIND", "OBJECTS", "BY SHARD", "NO OWNER", "SHARED", "UNLABELLED", "EXEMPT"],
    ...kinds.map((each) => [
      each.ledger,
      each.kind,
      String(each.objects),
      Object.entries(each.byShard)
        .map(([shard, count]) => `${shard}=${count}`)
        .join(" "),
      String(each.unowned.count),
      String(each.shared.count),
      String(each.unlabelled.count),
      String(each.exempt),
    ]),
  ]);
  const exempt = kinds.reduce((sum, each) => sum + each.exempt, 0);
  const verdict = exactlyOneOwner
    ? `each of ${objects - exempt} objects has exactly one owner; ${exempt} exempt ones are seen by all\n`
    : `NOT exactly one owner:\n${problems.map((problem) => `  ${problem}\n`).join("")}`;
  return `${grants}\n${counts}\n${verdict}`;
}
