import assert from "node:assert/strict";
import {
  alone,
  type ConformanceCase,
  conforms,
  isAnswer,
  metadataOf,
  namesOf,
  rows,
  versionOf,
} from "../case.ts";
import type { Answer, Api } from "../client.ts";

interface Five {
  readonly path: string;
  /** resourceVersion of each object, a to e. */
  readonly versions: readonly string[];
}

async function five(api: Api): Promise<Five> {
  const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
  const versions: string[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) {
    const labels = { odd: String("ace".includes(name)) };
    versions.push(versionOf(await api.made(path, { metadata: { name, labels } })));
  }
  // A consistent read waits until the watch cache has caught up; without it, cached lists might still be older.
  await api.get(path);
  return { path, versions };
}

/** Names, then what ListMeta says about the rest: "+3", "+?" when it is not counted, "" at the end. */
function page(answer: Answer): string {
  const { continue: token, remainingItemCount } = metadataOf(answer.body);
  const rest = token === undefined ? "" : ` +${String(remainingItemCount ?? "?")}`;
  return `${namesOf(answer).join("")}${rest}`;
}

const continueOf = (answer: Answer): string => String(metadataOf(answer.body).continue);

/** Which state and how much of it: resourceVersion (c: when c was made) x resourceVersionMatch x limit. */
const matrix: readonly (readonly [resourceVersion: string, match: string, limit: string, page: string])[] = [
  ["-", "", "", "abcde"],
  ["-", "", "2", "ab +3"],
  ["", "", "2", "ab +3"],
  ["0", "", "", "abcde"],
  ["0", "", "2", "abcde"],
  ["0", "NotOlderThan", "", "abcde"],
  ["0", "NotOlderThan", "2", "abcde"],
  ["c", "", "", "abcde"],
  ["c", "", "2", "ab +1"],
  ["c", "NotOlderThan", "", "abcde"],
  ["c", "NotOlderThan", "2", "ab +3"],
  ["c", "Exact", "", "abc"],
  ["c", "Exact", "2", "ab +1"],
  ["-", "", "5", "abcde"],
  ["-", "", "-1", "abcde"],
  ["-", "", "0", "abcde"],
];

const secrets = "/api/v1/namespaces/default/secrets";
const forbiddenMatch = /^ListOptions\.meta\.k8s\.io "" is invalid: /;

export const listCases: readonly ConformanceCase[] = [
  ...matrix.map(([version, match, limit, expected]) =>
    conforms(`list resourceVersion=${version} match=${match} limit=${limit}`, async (api) => {
      const { path, versions } = await five(api);
      const query = new URLSearchParams();
      if (version !== "-") query.set("resourceVersion", version === "c" ? (versions[2] ?? "") : version);
      if (match !== "") query.set("resourceVersionMatch", match);
      if (limit !== "") query.set("limit", limit);
      assert.equal(page(await api.get(`${path}?${query}`)), expected);
    }),
  ),
  ...rows([
    {
      id: "list-match-without-version",
      ask: ["GET", `${secrets}?resourceVersionMatch=Exact`],
      status: 422,
      reason: "Invalid",
      message: forbiddenMatch,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "list-match-exact-zero",
      ask: ["GET", `${secrets}?resourceVersionMatch=Exact&resourceVersion=0`],
      status: 422,
      reason: "Invalid",
      message: /"exact" is forbidden for resourceVersion "0"$/,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "list-match-unknown",
      ask: ["GET", `${secrets}?resourceVersionMatch=Bad&resourceVersion=1`],
      status: 422,
      reason: "Invalid",
      message: /Unsupported value: "Bad": supported values: "Exact", "NotOlderThan", ""$/,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "list-match-unknown-without-version",
      ask: ["GET", `${secrets}?resourceVersionMatch=Bad`],
      status: 422,
      reason: "Invalid",
      fields: ["resourceVersionMatch", "resourceVersionMatch"],
    },
    {
      id: "list-match-with-continue",
      ask: ["GET", `${secrets}?resourceVersionMatch=Exact&resourceVersion=5&continue=x`],
      status: 422,
      reason: "Invalid",
      message: /forbidden when continue is provided$/,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "list-initial-events",
      ask: ["GET", `${secrets}?sendInitialEvents=true`],
      status: 422,
      reason: "Invalid",
      message: /sendInitialEvents is forbidden for list$/,
      fields: ["sendInitialEvents"],
    },
    {
      id: "list-initial-events-false",
      ask: ["GET", `${secrets}?sendInitialEvents=false`],
      status: 422,
      reason: "Invalid",
      fields: ["sendInitialEvents"],
    },
    {
      id: "list-version-no-number",
      ask: ["GET", `${secrets}?resourceVersion=abc`],
      status: 400,
      reason: "BadRequest",
      message:
        'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax',
    },
    {
      id: "list-version-negative",
      ask: ["GET", `${secrets}?resourceVersion=-1`],
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "list-limit-no-number",
      ask: ["GET", `${secrets}?limit=abc`],
      status: 400,
      reason: "BadRequest",
      message: 'strconv.ParseInt: parsing "abc": invalid syntax',
    },
    {
      id: "list-limit-empty",
      ask: ["GET", `${secrets}?limit=`],
      status: 400,
      reason: "BadRequest",
      message: 'strconv.ParseInt: parsing "": invalid syntax',
    },
    {
      id: "list-timeout-no-number",
      ask: ["GET", `${secrets}?timeoutSeconds=x`],
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "list-watch-false",
      ask: ["GET", `${secrets}?watch=False`],
      status: 200,
      body: { kind: "SecretList" },
    },
    { id: "list-watch-zero", ask: ["GET", `${secrets}?watch=0`], status: 200, body: { kind: "SecretList" } },
    {
      id: "list-continue-garbage",
      ask: ["GET", `${secrets}?continue=garbage`],
      status: 400,
      reason: "BadRequest",
      message: /^invalid continue token: continue key is not valid: /,
    },
    ...(
      [
        ["without-version", "{}"],
        ["of-another-version", '{"v":"meta.k8s.io/v2","rv":5,"start":"x"}'],
        ["without-revision", '{"v":"meta.k8s.io/v1","rv":0,"start":"x"}'],
        ["without-start", '{"v":"meta.k8s.io/v1","rv":5}'],
        ["that-climbs", '{"v":"meta.k8s.io/v1","rv":5,"start":"../x"}'],
      ] as const
    ).map(([id, token]) => ({
      id: `list-continue-${id}`,
      ask: ["GET", `${secrets}?continue=${Buffer.from(token).toString("base64url")}`] as const,
      status: 400,
      reason: "BadRequest",
      message: /^invalid continue token: continue key is not valid: /,
    })),
  ]),
  conforms("list-pages-are-one-state", async (api) => {
    const { path } = await five(api);
    const first = await api.get(`${path}?limit=2`);
    await api.delete(`${path}/c`);
    await api.made(path, { metadata: { name: "bb" } });
    const second = await api.get(`${path}?limit=2&continue=${continueOf(first)}`);
    const third = await api.get(`${path}?limit=2&continue=${continueOf(second)}`);
    assert.deepEqual([first, second, third].map(page), ["ab +3", "cd +1", "e"]);
    assert.equal(versionOf(second.body), versionOf(first.body));
    assert.equal(versionOf(third.body), versionOf(first.body));
  }),
  conforms("list-continue-without-limit-is-the-rest", async (api) => {
    const { path } = await five(api);
    const first = await api.get(`${path}?limit=2`);
    assert.equal(page(await api.get(`${path}?continue=${continueOf(first)}`)), "cde");
  }),
  conforms("list-continue-with-version-zero", async (api) => {
    const { path } = await five(api);
    const token = continueOf(await api.get(`${path}?limit=2`));
    assert.equal(page(await api.get(`${path}?limit=2&continue=${token}&resourceVersion=0`)), "cd +1");
  }),
  conforms("list-continue-with-version", async (api) => {
    const { path } = await five(api);
    const token = continueOf(await api.get(`${path}?limit=2`));
    isAnswer(await api.get(`${path}?limit=2&continue=${token}&resourceVersion=5`), {
      status: 400,
      reason: "BadRequest",
      message: "specifying resource version is not allowed when using continue",
    });
  }),
  conforms("list-page-with-label-selector-counts-nothing", async (api) => {
    const { path } = await five(api);
    const first = await api.get(`${path}?limit=2&labelSelector=odd%3Dtrue`);
    assert.equal(page(first), "ac +?");
    const next = `${path}?limit=2&labelSelector=odd%3Dtrue&continue=${continueOf(first)}`;
    assert.equal(page(await api.get(next)), "e");
  }),
  conforms("list-page-with-field-selector-counts-nothing", async (api) => {
    const { path } = await five(api);
    assert.equal(page(await api.get(`${path}?limit=1&fieldSelector=metadata.name!%3Da`)), "b +?");
  }),
  conforms("list-version-is-the-newest-and-grows", async (api) => {
    const { path, versions } = await five(api);
    const before = await api.get(path);
    assert.ok(BigInt(versionOf(before.body)) >= BigInt(versions[4] ?? ""));
    const made = await api.made(path, { metadata: { name: "f" } });
    assert.ok(BigInt(versionOf(made)) > BigInt(versionOf(before.body)));
    assert.ok(BigInt(versionOf((await api.get(path)).body)) >= BigInt(versionOf(made)));
  }),
  conforms("list-exact-says-its-version", async (api) => {
    const { path, versions } = await five(api);
    const answer = await api.get(`${path}?resourceVersion=${versions[1]}&resourceVersionMatch=Exact`);
    assert.equal(versionOf(answer.body), versions[1]);
  }),
  conforms("list-all-namespaces-by-namespace-then-name", async (api) => {
    const { path } = await five(api);
    const namespace = path.split("/")[4] ?? "";
    const answer = await api.get(`/api/v1/secrets?fieldSelector=metadata.namespace%3D${namespace}`);
    assert.equal(namesOf(answer).join(""), "abcde");
  }),
  conforms("list-items-of-built-in-kinds-carry-no-kind", async (api) => {
    const { path } = await five(api);
    const { body } = await api.get(`${path}?limit=1`);
    assert.partialDeepStrictEqual(body, { kind: "SecretList", apiVersion: "v1" });
    const [item] = body.items as object[];
    assert.ok(item !== undefined && !("kind" in item) && !("apiVersion" in item));
  }),
  conforms("list-empty-is-a-list", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
    assert.deepEqual((await api.get(path)).body.items, []);
  }),
  conforms("list-of-an-absent-namespace-is-empty", async (api) => {
    assert.deepEqual(namesOf(await api.get("/api/v1/namespaces/nowhere-1/secrets")), []);
  }),
  alone(
    conforms("list-continue-after-compaction", async (api) => {
      const { path } = await five(api);
      const token = continueOf(await api.get(`${path}?limit=2`));
      await api.delete(`${path}/c`);
      await api.made(path, { metadata: { name: "bb" } });
      await api.target.compact();
      const expired = await api.get(`${path}?limit=1&continue=${token}`);
      isAnswer(expired, {
        status: 410,
        reason: "Expired",
        message: /^The provided continue parameter is too old to display a consistent list result\./,
      });
      // The fresh token goes on where the old one stood, in the newest state.
      const next = await api.get(`${path}?limit=1&continue=${continueOf(expired)}`);
      assert.equal(page(next), "bb +2");
      assert.equal(page(await api.get(`${path}?limit=5&continue=${continueOf(next)}`)), "de");
    }),
  ),
  alone(
    conforms("list-exact-after-compaction", async (api) => {
      const { path, versions } = await five(api);
      await api.target.compact();
      isAnswer(await api.get(`${path}?resourceVersion=${versions[1]}&resourceVersionMatch=Exact`), {
        status: 410,
        reason: "Expired",
        message: "The resourceVersion for the provided list is too old.",
      });
      assert.equal(
        page(await api.get(`${path}?resourceVersion=${versions[1]}&resourceVersionMatch=NotOlderThan`)),
        "abcde",
      );
      assert.equal(page(await api.get(`${path}?resourceVersion=${versions[1]}`)), "abcde");
    }),
  ),
  ...(["resourceVersionMatch=NotOlderThan", "resourceVersionMatch=Exact", "limit=1"] as const).map((query) =>
    conforms(`list-from-the-future ${query}`, async (api) => {
      const answer = await api.get(`${secrets}?resourceVersion=999999999&${query}`);
      isAnswer(answer, {
        status: 504,
        reason: "Timeout",
        message: /^Timeout: Too large resource version: 999999999, current: \d+$/,
      });
      assert.partialDeepStrictEqual(answer.body, {
        details: { causes: [{ reason: "ResourceVersionTooLarge" }] },
      });
    }),
  ),
  conforms("get-from-the-future", async (api) => {
    const { path } = await five(api);
    isAnswer(await api.get(`${path}/a?resourceVersion=999999999`), {
      status: 504,
      reason: "Timeout",
      message: /^Timeout: Too large resource version: 999999999, current: \d+$/,
      body: { details: { retryAfterSeconds: 1 } },
    });
  }),
  conforms("get-with-a-version", async (api) => {
    const { path, versions } = await five(api);
    for (const version of ["0", "", versions[4]])
      assert.equal((await api.get(`${path}/a?resourceVersion=${version}`)).status, 200);
    isAnswer(await api.get(`${path}/a?resourceVersion=x`), { status: 500, reason: "" });
  }),
];
