import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestInfo } from "#kube/wire/request-info";
import { applyFloor, applyUnreadableFloor, type Floor, type FloorVerdict, ListTally } from "./floor-rules.ts";

const token = (version: number) =>
  Buffer.from(`{"v":"meta.k8s.io/v1","rv":${version},"start":"a"}`).toString("base64url");

function infoOf(query: string) {
  return parseRequestInfo("GET", `/api/v1/pods?${query}`);
}

/** A floor with so many lists behind it. */
function floorAt(resourceVersion: string, listCount: number): Floor {
  const lists = new ListTally();
  for (let count = 0; count < listCount; count++) lists.began();
  return { resourceVersion, lists };
}

function shown(verdict: FloorVerdict): string {
  return verdict.kind === "pass" ? verdict.query : verdict.code;
}

const below = "RESOURCE_VERSION_BELOW_FLOOR";
const unknown = "FLOOR_UNKNOWN";
const unchanged = undefined;

/** Query, what becomes of it with floor 100, and what while the floor can't be read. */
const rules: readonly (readonly [
  query: string,
  atFloor: string | undefined,
  unreadable: string | undefined,
])[] = [
  // A watch goes on from a state, or from none.
  ["watch=1", unchanged, unchanged],
  ["watch=1&resourceVersion=", unchanged, unchanged],
  ["watch=1&resourceVersion=0", unchanged, unchanged],
  ["watch=1&resourceVersion=00", unchanged, unchanged],
  ["watch=1&resourceVersion=99", below, unknown],
  ["watch=1&resourceVersion=099", below, unknown],
  ["watch=1&resourceVersion=9&sendInitialEvents=false", below, unknown],
  ["watch=1&resourceVersion=100", unchanged, unknown],
  ["watch=1&resourceVersion=101", unchanged, unknown],
  ["watch=1&resourceVersion=1000", unchanged, unknown],
  ["watch=1&resourceVersion=99&resourceVersion=200", below, unknown],
  ["watch=1&resourceVersion=abc", unchanged, unchanged],
  // A WatchList is raised, never refused: client-go would ask again at once and without end.
  [
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=99",
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=100",
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
  ],
  [
    "resourceVersion=0&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "resourceVersion=100&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "resourceVersion=&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
  ],
  ["watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=", unchanged, unchanged],
  ["watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", unchanged, unchanged],
  [
    "watch=1&sendInitialEvents&resourceVersionMatch=NotOlderThan&resourceVersion=200",
    unchanged,
    "watch=1&sendInitialEvents&resourceVersionMatch=NotOlderThan&resourceVersion=",
  ],
  // A list of the newest state is always good enough.
  ["", unchanged, unchanged],
  ["limit=5", unchanged, unchanged],
  ["resourceVersion=", unchanged, unchanged],
  ["resourceVersionMatch=NotOlderThan", unchanged, unchanged],
  // A list of any or of a minimal state is raised.
  ["resourceVersion=0", "resourceVersion=100&resourceVersionMatch=NotOlderThan", "resourceVersion="],
  [
    "resourceVersion=0&limit=5",
    "resourceVersion=100&limit=5&resourceVersionMatch=NotOlderThan",
    "resourceVersion=&limit=5",
  ],
  ["resourceVersion=99", "resourceVersion=100&resourceVersionMatch=NotOlderThan", "resourceVersion="],
  [
    "resourceVersion=99&resourceVersionMatch=",
    "resourceVersion=100&resourceVersionMatch=NotOlderThan",
    "resourceVersion=&resourceVersionMatch=",
  ],
  [
    "resourceVersionMatch=NotOlderThan&resourceVersion=99&limit=5",
    "resourceVersionMatch=NotOlderThan&resourceVersion=100&limit=5",
    "resourceVersionMatch=&resourceVersion=&limit=5",
  ],
  ["resourceVersion=100", unchanged, "resourceVersion="],
  // A list of exactly one state can't be raised.
  ["resourceVersion=99&resourceVersionMatch=Exact", below, unknown],
  ["resourceVersion=100&resourceVersionMatch=Exact", unchanged, unknown],
  ["resourceVersion=99&limit=5", below, unknown],
  [
    "resourceVersion=99&limit=0",
    "resourceVersion=100&limit=0&resourceVersionMatch=NotOlderThan",
    "resourceVersion=&limit=0",
  ],
  ["resourceVersion=100&limit=5", unchanged, unknown],
  // For the API server to refuse.
  ["resourceVersion=0&resourceVersionMatch=Exact", unchanged, "resourceVersion=&resourceVersionMatch="],
  ["resourceVersion=9&resourceVersionMatch=Other", unchanged, "resourceVersion=&resourceVersionMatch="],
  ["resourceVersion=abc", unchanged, unchanged],
  [`continue=!!`, unchanged, unknown],
  // A continued list.
  [`continue=${token(99)}`, "CONTINUE_BELOW_FLOOR", unknown],
  [`limit=5&continue=${token(100)}`, unchanged, unknown],
  [`continue=${token(-1)}`, "CONTINUE_BELOW_FLOOR", unknown],
  [`continue=${token(200)}&resourceVersion=0`, unchanged, unknown],
  [
    "continue=&resourceVersion=0",
    "continue=&resourceVersion=100&resourceVersionMatch=NotOlderThan",
    "continue=&resourceVersion=",
  ],
];

for (const [query, atFloor, unreadable] of rules) {
  test(`floor rules: "${query}" at floor 100 becomes "${atFloor ?? "itself"}"`, () => {
    assert.equal(shown(applyFloor(infoOf(query), floorAt("100", 1))), atFloor ?? query);
  });
  test(`floor rules: "${query}" without a readable floor becomes "${unreadable ?? "itself"}"`, () => {
    assert.equal(shown(applyUnreadableFloor(infoOf(query))), unreadable ?? query);
  });
}

test("floor rules: a watch by path is held to the floor too", () => {
  const info = parseRequestInfo("GET", "/api/v1/watch/pods?resourceVersion=99");
  assert.equal(shown(applyFloor(info, floorAt("100", 1))), below);
});

test("floor rules: versions beyond 64 bits compare as numbers", () => {
  const info = infoOf("watch=1&resourceVersion=99999999999999999999");
  assert.equal(shown(applyFloor(info, floorAt("100000000000000000000", 1))), below);
  assert.equal(shown(applyFloor(info, floorAt("99999999999999999999", 1))), info.query);
});

const watchAtFloor = infoOf("watch=1&resourceVersion=100");
const pageAtFloor = infoOf(`limit=5&continue=${token(100)}`);

test("floor rules: without a list behind it nothing goes on from the floor itself, for it may be of the previous view", () => {
  assert.equal(shown(applyFloor(watchAtFloor, floorAt("100", 0))), below);
  assert.equal(shown(applyFloor(pageAtFloor, floorAt("100", 0))), "CONTINUE_BELOW_FLOOR");
  assert.equal(
    shown(applyFloor(infoOf("watch=1&resourceVersion=101"), floorAt("100", 0))),
    "watch=1&resourceVersion=101",
  );
});

for (const [name, query] of [
  ["a list", ""],
  ["the first page of a list", "limit=5"],
  ["a WatchList", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"],
] as const) {
  test(`floor rules: ${name} behind the floor accounts for one watch from it`, () => {
    const floor = floorAt("100", 0);
    applyFloor(infoOf(query), floor);
    assert.equal(shown(applyFloor(pageAtFloor, floor)), pageAtFloor.query);
    assert.equal(shown(applyFloor(watchAtFloor, floor)), watchAtFloor.query);
    assert.equal(shown(applyFloor(watchAtFloor, floor)), below, "the second one is of somebody else");
  });
}

test("floor rules: a watch from nowhere, or above the floor, leaves the account to others", () => {
  const floor = floorAt("100", 1);
  for (const query of ["watch=1", "watch=1&resourceVersion=0", "watch=1&resourceVersion=101"])
    applyFloor(infoOf(query), floor);
  assert.equal(shown(applyFloor(watchAtFloor, floor)), watchAtFloor.query);
});
