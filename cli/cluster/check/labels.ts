import type { ServedResource } from "#manager/sharding/discovery";
import { kindName, namespacedKind } from "#manager/sharding/stamp";
import { eachPage } from "../each-page.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";
import { limitedKinds } from "./manager-rights.ts";

const namedObjects = 5;

/** Label coverage: objects of limited kinds without shard labels, which limits by buckets don't see. */
export const labelsCheck: Check = {
  name: "labels",
  phases: ["after"],
  run: async (context) => {
    const limited = limitedKinds(context);
    const found = await Promise.all(limited.map((kind) => unlabelled(kind, context)));
    return {
      summary: `${limited.map(kindName).join(", ") || "no limited kind"}`,
      findings: found.flatMap((each, index) =>
        judge(kindName(limited[index] ?? { group: "", resource: "" }), each),
      ),
    };
  },
};

interface Unlabelled {
  readonly count: number;
  /** "namespace/name" of the first few. */
  readonly names: readonly string[];
}

async function unlabelled(
  kind: ServedResource,
  { client, settings, signal }: CheckContext,
): Promise<Unlabelled> {
  const { shardLabels, exemptNamespaces } = settings;
  let count = 0;
  let names: string[] = [];
  const query = { labelSelector: `!${shardLabels.hash}` };
  const visitor = {
    onStart: () => {
      count = 0;
      names = [];
    },
    onPage: (objects: readonly { metadata?: { namespace?: string; name?: string } }[]) => {
      for (const { metadata } of objects) {
        if (exemptNamespaces.includes(metadata?.namespace ?? "")) continue;
        count++;
        if (names.length < namedObjects) names.push(`${metadata?.namespace}/${metadata?.name}`);
      }
    },
  };
  await eachPage(client, namespacedKind(kind), query, visitor, { signal });
  return { count, names };
}

function judge(kind: string, { count, names }: Unlabelled): Finding[] {
  if (count === 0) return [];
  const examples = `${names.join(", ")}${count > names.length ? ` and ${count - names.length} more` : ""}`;
  return [
    {
      level: "error",
      code: "UnlabelledObjects",
      where: kind,
      what: `${count} objects carry no shard labels, so no shard with buckets sees them: ${examples}`,
      remedy: `see why the manager can't label them: kubectl get shard -A -o jsonpath='{.items[*].status.coverage}'`,
    },
  ];
}
