import { continueToken, listVersion, type Mask } from "../masks.ts";
import { member, type Row, rowOf, type Step } from "../row.ts";

/**
 * Every combination of resourceVersion, resourceVersionMatch, limit and continue. The API server's rules for them
 * differ, and those that it refuses must be refused in its own words.
 */

const secrets = "/api/v1/secrets";

const words = ["", "NotOlderThan", "Exact", "Bogus"] as const;
const limits = ["", "2"] as const;
const versions = ["none", "0", "n", "not a number"] as const;
type Version = (typeof versions)[number];

export const versionMatrix: readonly Row[] = versions.flatMap((version) =>
  words.flatMap((word) =>
    limits.flatMap((limit) => [
      combination(version, word, limit, false),
      combination(version, word, limit, true),
    ]),
  ),
);

function combination(version: Version, word: string, limit: string, continues: boolean): Row {
  const name = `list at resourceVersion ${version}, match ${word || "none"}, limit ${limit || "none"}, ${continues ? "continued" : "from the start"}`;
  const statuses = [expectedStatus(version, word, continues)];
  const masks = masksOf(version, word, limit, continues);
  return rowOf(
    name,
    function* ({ historyStart }) {
      const query = new URLSearchParams();
      if (version !== "none")
        query.set("resourceVersion", version === "n" ? historyStart : version === "0" ? "0" : "soon");
      if (word !== "") query.set("resourceVersionMatch", word);
      if (limit !== "") query.set("limit", limit);
      if (continues) {
        const first = yield { target: `${secrets}?limit=2`, limited: true };
        query.set("continue", String(member(first, "metadata", "continue")));
      }
      const target = `${secrets}?${query}`;
      yield version === "0" && limit !== ""
        ? { ...raised(query, historyStart), target }
        : { target, limited: true };
    },
    { status: continues ? [200, ...statuses] : statuses, masks },
  );
}

/**
 * From "0" a list may start before the floor, so the proxy raises it (ownership of what was gained depends on it).
 * The API server then keeps to the limit, which it overlooks at "0".
 */
function raised(query: URLSearchParams, floor: string): Pick<Step, "directTarget" | "limited"> {
  const word = query.get("resourceVersionMatch") ?? "NotOlderThan";
  if (query.has("continue") || word !== "NotOlderThan") return { limited: true };
  const direct = new URLSearchParams(query);
  direct.set("resourceVersion", floor);
  direct.set("resourceVersionMatch", word);
  return { directTarget: `${secrets}?${direct}`, limited: true };
}

/** What kube-apiserver 1.36 says. */
function expectedStatus(version: Version, word: string, continues: boolean): number {
  const isInvalid =
    word === "Bogus" || version === "none" || (version === "0" && word === "Exact") || continues;
  if (word !== "" && isInvalid) return 422;
  return version === "not a number" || (version === "n" && continues) ? 400 : 200;
}

function masksOf(version: Version, word: string, limit: string, continues: boolean): Mask[] {
  if (continues) return [listVersion, continueToken];
  if (expectedStatus(version, word, continues) !== 200) return [];
  // A limit makes it exact where no word says otherwise.
  const isExact = version === "n" && (word === "Exact" || (word === "" && limit !== ""));
  if (isExact) return [];
  return limit === "" ? [listVersion] : [listVersion, continueToken];
}
