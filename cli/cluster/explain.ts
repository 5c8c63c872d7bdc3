import { optionalText, text } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../exit-codes.ts";
import { outputSetting, printAnswer } from "../print.ts";
import { programName } from "../program-name.ts";
import { connectionSettings, timeoutSetting, withCluster } from "./connection.ts";
import { type ExplainedObject, type Explanation, explain, type OperatorView } from "./explanation.ts";
import { readInventory } from "./inventory.ts";
import { readMeshSettings } from "./mesh-settings.ts";
import { parseReference, resolveKind } from "./resolve-kind.ts";
import { readServedKinds } from "./served-kinds.ts";

export const explainSettings = {
  subject: text(
    {
      description: "the object, as kubectl names it: configmap/settings, deploy/web, widget.example.com/a",
      positional: true,
    },
    "KIND/NAME",
  ),
  namespace: optionalText(
    { description: "namespace of the object; without it that of the kubeconfig's context", short: "n" },
    "NAME",
  ),
  output: outputSetting,
  ...connectionSettings,
  timeout: timeoutSetting(60_000),
};

/** `ctrlmesh explain`: 0 when the object has one owner per operator, or needs none; else 1. */
export async function runExplain(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} explain`,
    about:
      "Tells which shard owns an object, by which rule, through which pod, and whether its labels are right. Ends with 1 when something is wrong with that.",
    table: explainSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  const reference = parseReference(settings.subject);
  return await withCluster(settings, env, async (session) => {
    const { client } = session;
    const [mesh, served, inventory] = await Promise.all([
      readMeshSettings(client, session),
      readServedKinds(client, session),
      readInventory(client, undefined, session),
    ]);
    const kind = await resolveKind(client, reference.kind, served.served, session);
    const namespace = kind.namespaced ? (settings.namespace ?? client.namespace ?? "default") : "";
    const name = kind.namespaced ? { namespace, name: reference.name } : { name: reference.name };
    const { metadata } = await client.get(kind, name, session);
    const object: ExplainedObject = {
      kind,
      namespace,
      name: reference.name,
      labels: metadata?.labels ?? {},
    };
    const explanation = explain(object, inventory, { settings: mesh, served });
    await printAnswer(settings.output, explanation, explanationText);
    return explanation.problems.length === 0 ? exitCodes.good : exitCodes.problems;
  });
}

const labelWords: Readonly<Record<Explanation["labels"], string>> = {
  right: "right",
  missing: "missing",
  wrong: "wrong: those of another namespace",
  none: "it needs none",
};

export function explanationText({
  object,
  bucket,
  labels,
  exempt,
  operators,
  problems,
}: Explanation): string {
  const { kind, namespace, name } = object;
  const place = namespace === "" ? `${kind} ${name} (cluster-scoped)` : `${kind} ${namespace}/${name}`;
  const hashed = namespace === "" ? `name ${name}` : `namespace ${namespace}`;
  const lines = [place, `  bucket:  ${bucket} (${hashed})`, `  labels:  ${labelWords[labels]}`];
  if (exempt !== "") lines.push("", exempt);
  else if (operators.length === 0)
    lines.push("", `no operator is sharded by ${kind}: it has no owner and needs none`);
  else if (namespace === "")
    lines.push("", "cluster-scoped objects are not hashed: each shard sees those that its selector matches");
  for (const operator of operators) lines.push("", ...operatorLines(operator, namespace));
  for (const problem of problems) lines.push("", `problem: ${problem}`);
  return `${lines.join("\n")}\n`;
}

function operatorLines(view: OperatorView, namespace: string): string[] {
  const { ledger, atom, owner, state, epoch, rule, pods, seenBy, pending } = view;
  const isOwnNamespace = ledger.startsWith(`${namespace}/`);
  const reach = pods.map(
    ({ name, connected, ready }) =>
      `${name} (${connected ? "connected" : "not connected"}, ${ready ? "ready" : "not ready"})`,
  );
  return [
    `operator ${ledger}`,
    `  owner:   ${owner === "" ? "nobody" : `shard ${owner}`} (${atom} is ${state}, epoch ${epoch})`,
    `  rule:    ${rule === "" ? "none: it passes unfiltered" : rule}`,
    `  pods:    ${reach.join(", ") || "none"}`,
    `  seen by: ${seenBy.join(", ") || "nobody"}${isOwnNamespace ? " (the operator's own namespace is seen by all)" : ""}`,
    ...(pending.length === 0 ? [] : [`  wanted:  ${pending.join(", ")} claims it and waits`]),
  ];
}
