import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestInfo } from "#kube/wire/request-info";
import { applyFloor, applyUnreadableFloor, type Floor, type FloorVerdict } from "./floor-rules.ts";

const token = (version: number) =>
  Buffer.from(`{"v":"meta.k8s.io/v1","rv":${version},"start":"a"}`).toString("base64url");

function infoOf(query: string) {
  return parseRequestInfo("GET", `/api/v1/pods?${query}`);
}

const moved = Promise.resolve();

function cleanAt(resourceVersion: string): Floor {
  return { resourceVersion, untilMoved: undefined };
}

function dirtyAt(resourceVersion: string): Floor {
  return { resourceVersion, untilMoved: () => moved };
}

function shown(verdict: FloorVerdict): string {
  if (verdict.kind === "pass") return verdict.query;
  return verdict.kind === "wait" ? "waits" : verdict.code;
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

/** The only ones that a dirty floor treats in another way: they may go on from a list of the previous view. */
const undecided: readonly string[] = ["watch=1&resourceVersion=100", `limit=5&continue=${token(100)}`];

for (const [query, atFloor, unreadable] of rules) {
  test(`floor rules: "${query}" at floor 100 becomes "${atFloor ?? "itself"}"`, () => {
    assert.equal(shown(applyFloor(infoOf(query), cleanAt("100"))), atFloor ?? query);
  });
  const atDirty = undecided.includes(query) ? "waits" : (atFloor ?? query);
  test(`floor rules: "${query}" at a dirty floor 100 ${atDirty === "waits" ? atDirty : `becomes "${atDirty}"`}`, () => {
    assert.equal(shown(applyFloor(infoOf(query), dirtyAt("100"))), atDirty);
  });
  test(`floor rules: "${query}" without a readable floor becomes "${unreadable ?? "itself"}"`, () => {
    assert.equal(shown(applyUnreadableFloor(infoOf(query))), unreadable ?? query);
  });
}

test("floor rules: a watch by path is held to the floor too", () => {
  const info = parseRequestInfo("GET", "/api/v1/watch/pods?resourceVersion=99");
  assert.equal(shown(applyFloor(info, cleanAt("100"))), below);
});

test("floor rules: versions beyond 64 bits compare as numbers", () => {
  const info = infoOf("watch=1&resourceVersion=99999999999999999999");
  assert.equal(shown(applyFloor(info, cleanAt("100000000000000000000"))), below);
  assert.equal(shown(applyFloor(info, cleanAt("99999999999999999999"))), info.query);
});

test("floor rules: at a dirty floor a version with leading zeros waits like the one without", () => {
  const verdict = applyFloor(infoOf("watch=1&resourceVersion=0100"), dirtyAt("100"));
  assert.deepEqual(verdict, { kind: "wait", ready: moved });
});

test("floor rules: only what goes on from a dirty floor makes it look for a newer state", () => {
  const floor = { resourceVersion: "100", untilMoved: () => assert.fail("asked") };
  for (const [query] of rules) if (!undecided.includes(query)) applyFloor(infoOf(query), floor);
});
