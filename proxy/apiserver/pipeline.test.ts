import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseRequestInfo } from "#kube/wire/request-info";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { type CompiledSnapshot, compileSnapshot } from "../snapshot.ts";
import { FloorTable } from "./floor.ts";
import type { FloorAnswer } from "./floor-scope.ts";
import { type Decision, decide, type RequestFacts, type Rules } from "./pipeline.ts";

const selector = "team=a";

function snapshotOf({ grant = Grant.GRANTED as Grant, fenced = [] as string[] } = {}): CompiledSnapshot {
  return compileSnapshot(
    create(SnapshotSchema, {
      id: { term: 1n, revision: 1n },
      shard: "shard-a",
      grant,
      grantReason: "another pod holds it",
      limits: [
        { groups: [""], resources: ["pods", "configmaps"], selector },
        { groups: ["apps"], resources: ["*"], selector },
      ],
      unfilteredResources: [{ group: "apps", resource: "controllerrevisions" }],
      unfilteredNamespaces: ["own", "kube-system"],
      fence: { namespaces: fenced },
      hash: HashFunction.MURMUR3,
      epoch: 7n,
    }),
  );
}

/** Floors of all limited resources of the snapshot above, as told; reads are counted and never answered. */
function floorsAt(resourceVersion: string | undefined) {
  const floor = (group: string, resource: string) => ({ group, resource, selector, resourceVersion });
  const floors = [floor("", "pods"), floor("", "configmaps"), floor("apps", "deployments")];
  const reads: string[] = [];
  const table = FloorTable.fromJSON(resourceVersion === undefined ? {} : { floors }, {
    read: ({ group, version, resource }) => {
      reads.push(`${group}/${version}/${resource}`);
      return new Promise<FloorAnswer>(() => {});
    },
    clock: new FakeClock(),
    log: silentLog,
    random: () => 0,
    signal: new AbortController().signal,
    onKnown: () => {},
  });
  return { table, reads };
}

const rules: Rules = { snapshot: snapshotOf(), floors: floorsAt("100").table, draining: false };

function request(method: string, target: string, changes: Partial<RequestFacts> = {}): RequestFacts {
  return { method, target, accept: undefined, isUpgrade: false, ...changes };
}

/** What goes upstream, or the code of the refusal. */
function outcome(decision: Decision): string {
  if (decision.kind === "forward") return decision.target;
  return decision.kind === "refuse" ? `${decision.status} ${decision.code}` : "wait";
}

const limited: readonly (readonly [method: string, target: string, upstream: string])[] = [
  ["GET", "/api/v1/pods", "/api/v1/pods?labelSelector=team%3Da"],
  ["HEAD", "/api/v1/pods", "/api/v1/pods?labelSelector=team%3Da"],
  ["GET", "/api/v1/pods?", "/api/v1/pods?labelSelector=team%3Da"],
  ["GET", "/api/v1/%70ods/?limit=5", "/api/v1/%70ods/?labelSelector=team%3Da&limit=5"],
  ["GET", "/api/v1/namespaces/x/pods?limit=5", "/api/v1/namespaces/x/pods?labelSelector=team%3Da&limit=5"],
  [
    "GET",
    "/api/v1/pods?fieldSelector=metadata.name%3Dp",
    "/api/v1/pods?labelSelector=team%3Da&fieldSelector=metadata.name%3Dp",
  ],
  ["GET", "/api/v1/pods?watch=1", "/api/v1/pods?labelSelector=team%3Da&watch=1"],
  ["GET", "/api/v1/watch/pods", "/api/v1/watch/pods?labelSelector=team%3Da"],
  ["GET", "/api/v1/watch/namespaces/x/pods/p", "/api/v1/watch/namespaces/x/pods/p?labelSelector=team%3Da"],
  ["GET", "/apis/apps/v1/deployments", "/apis/apps/v1/deployments?labelSelector=team%3Da"],
  [
    "DELETE",
    "/api/v1/namespaces/x/pods?labelSelector=app",
    "/api/v1/namespaces/x/pods?labelSelector=team%3Da%2Capp",
  ],
  [
    "GET",
    "/api/v1/pods?resourceVersion=0&labelSelector=app",
    "/api/v1/pods?resourceVersion=100&labelSelector=team%3Da%2Capp&resourceVersionMatch=NotOlderThan",
  ],
  ["GET", "/api/v1/pods?watch=1&resourceVersion=99", "410 RESOURCE_VERSION_BELOW_FLOOR"],
];

for (const [method, target, upstream] of limited) {
  test(`pipeline: ${method} ${target} becomes ${upstream}`, () => {
    assert.equal(outcome(decide(request(method, target), rules)), upstream);
  });
}

const untouched: readonly (readonly [name: string, method: string, target: string])[] = [
  ["a get by name", "GET", "/api/v1/namespaces/x/pods/p?x=%7e"],
  ["a get of a subresource", "GET", "/api/v1/namespaces/x/pods/p/log?follow=true"],
  ["a create", "POST", "/api/v1/namespaces/x/pods"],
  ["a delete by name", "DELETE", "/api/v1/namespaces/x/pods/p"],
  ["a list of another resource", "GET", "/api/v1/secrets"],
  ["a list of a resource of another group", "GET", "/apis/x.io/v1/pods"],
  ["a list of an unfiltered resource", "GET", "/apis/apps/v1/controllerrevisions"],
  ["a list in the pod's own namespace", "GET", "/api/v1/namespaces/own/pods?watch=1&resourceVersion=1"],
  ["a list in an exempt namespace", "GET", "/api/v1/namespaces/kube-system/configmaps"],
  ["discovery", "GET", "/apis/apps/v1"],
  ["a path that is no resource", "GET", "/healthz?verbose"],
];

for (const [name, method, target] of untouched) {
  test(`pipeline: ${name} goes through byte for byte`, () => {
    const decision = decide(request(method, target), rules);
    assert.equal(outcome(decision), target);
    assert.equal(decision.kind === "forward" && decision.limited, undefined);
  });
}

test("pipeline: a limited request tells its resource, view, kind and likely encoding", () => {
  const accept = "application/vnd.kubernetes.protobuf,application/json";
  const watch = decide(request("GET", "/apis/apps/v1/deployments?watch=1", { accept }), rules);
  assert.ok(watch.kind === "forward");
  assert.deepEqual(watch.limited, {
    group: "apps",
    resource: "deployments",
    selector,
    isWatch: true,
    encoding: "protobuf",
  });
  const list = decide(request("GET", "/api/v1/pods"), rules);
  assert.ok(list.kind === "forward");
  assert.equal(list.limited?.isWatch, false);
});

test("D11: deletecollection is limited, counts as a write and waits for no floor", () => {
  const { table, reads } = floorsAt(undefined);
  const decision = decide(request("DELETE", "/api/v1/namespaces/x/pods"), { ...rules, floors: table });
  assert.ok(decision.kind === "forward");
  assert.equal(decision.target, "/api/v1/namespaces/x/pods?labelSelector=team%3Da");
  assert.equal(decision.mutates, true);
  assert.deepEqual(reads, []);
});

test("pipeline: writes are told from reads", () => {
  const mutates = (method: string, target: string) => {
    const decision = decide(request(method, target), rules);
    return decision.kind === "forward" && decision.mutates;
  };
  assert.equal(mutates("PATCH", "/api/v1/namespaces/x/pods/p"), true);
  assert.equal(mutates("GET", "/api/v1/namespaces/x/pods/p/exec"), true);
  assert.equal(mutates("GET", "/api/v1/namespaces/x/pods/p"), false);
  assert.equal(mutates("GET", "/api/v1/pods"), false);
});

test("pipeline: an unknown floor is read once, and the request waits", () => {
  const { table, reads } = floorsAt(undefined);
  for (let i = 0; i < 2; i++) {
    assert.equal(outcome(decide(request("GET", "/api/v1/pods"), { ...rules, floors: table })), "wait");
  }
  assert.deepEqual(reads, ["/v1/pods"]);
});

test("pipeline: at a floor that may be older than the last change a watch and a continue token wait, a list passes", () => {
  const { table } = floorsAt("100");
  const token = Buffer.from('{"v":"meta.k8s.io/v1","rv":100,"start":"a"}').toString("base64url");
  for (const [target, expected] of [
    ["/api/v1/pods?watch=1&resourceVersion=100", "wait"],
    [`/api/v1/pods?continue=${token}`, "wait"],
    ["/api/v1/pods?watch=1&resourceVersion=101", undefined],
    ["/api/v1/pods?resourceVersion=100", undefined],
  ] as const) {
    const decision = decide(request("GET", target), { ...rules, floors: table });
    assert.equal(outcome(decision), expected ?? target.replace("?", "?labelSelector=team%3Da&"));
  }
});

test("pipeline: without a snapshot everything is refused, with the time to come back", () => {
  for (const target of ["/api/v1/pods", "/healthz", "/api/v1/namespaces/own/pods", "/apis"]) {
    const decision = decide(request("GET", target), { ...rules, snapshot: undefined });
    assert.equal(outcome(decision), "429 NO_SNAPSHOT");
    assert.equal(decision.kind === "refuse" && decision.retryAfterSeconds, 1);
  }
});

test("pipeline: without a grant everything is refused, with the manager's reason", () => {
  const decision = decide(request("PUT", "/api/v1/namespaces/own/pods/p"), {
    ...rules,
    snapshot: snapshotOf({ grant: Grant.NOT_GRANTED }),
  });
  assert.equal(outcome(decision), "429 NOT_GRANTED");
  assert.ok(decision.kind === "refuse");
  assert.equal(decision.retryAfterSeconds, 5);
  assert.match(decision.message, /another pod holds it/);
});

test("pipeline: while draining, writes and lists pass and new watches don't", () => {
  const draining = { ...rules, draining: true };
  assert.equal(outcome(decide(request("GET", "/api/v1/secrets?watch=1"), draining)), "429 DRAINING");
  assert.equal(outcome(decide(request("GET", "/api/v1/secrets"), draining)), "/api/v1/secrets");
  const lease = "/apis/coordination.k8s.io/v1/namespaces/own/leases/l";
  assert.equal(outcome(decide(request("PUT", lease), draining)), lease);
});

test("pipeline: a write to what has moved away is refused and names what and why", () => {
  const fenced = { ...rules, snapshot: snapshotOf({ fenced: ["gone"] }) };
  const decision = decide(request("PATCH", "/api/v1/namespaces/gone/pods/p"), fenced);
  assert.ok(decision.kind === "refuse");
  assert.equal(outcome(decision), "403 WRITE_FENCED");
  assert.equal(decision.retryAfterSeconds, undefined);
  assert.equal(decision.info?.name, "p");
  for (const part of ['"gone"', '"shard-a"', "epoch 7"]) assert.ok(decision.message.includes(part), part);
  assert.equal(outcome(decide(request("DELETE", "/api/v1/pods"), fenced)), "403 WRITE_FENCED");
  assert.equal(
    outcome(decide(request("DELETE", "/api/v1/namespaces/gone/pods"), fenced)),
    "403 WRITE_FENCED",
  );
  const read = "/api/v1/namespaces/gone/pods/p";
  assert.equal(outcome(decide(request("GET", read), fenced)), read);
});

test("pipeline: a watch over WebSocket is refused where it would have to be ended in-stream", () => {
  const upgrade = { isUpgrade: true };
  const watch = "/api/v1/pods?watch=1";
  assert.equal(outcome(decide(request("GET", watch, upgrade), rules)), "400 UPGRADE_NOT_SUPPORTED");
  const exec = "/api/v1/namespaces/x/pods/p/exec";
  assert.equal(outcome(decide(request("GET", exec, upgrade), rules)), exec);
});

test("pipeline: what can't be understood is refused before anything else", () => {
  for (const rule of [rules, { ...rules, snapshot: undefined }]) {
    const decision = decide(request("GET", "/api/v1/../v1/pods"), rule);
    assert.equal(outcome(decision), "400 MALFORMED_REQUEST");
    assert.equal(decision.kind === "refuse" && decision.info, undefined);
  }
  const boolean = "/api/v1/pods?watch=1&resourceVersion=7&sendInitialEvents=%C5%BF";
  assert.equal(outcome(decide(request("GET", boolean), rules)), "400 MALFORMED_REQUEST");
});

test("pipeline: no target makes a list, watch or deletecollection pass without the selector (property)", () => {
  const segment = fc.constantFrom(
    ...[
      "api",
      "apis",
      "v1",
      "apps",
      "pods",
      "%70ods",
      "namespaces",
      "x",
      "own",
      "watch",
      "proxy",
      "p",
      "status",
    ],
    ...[
      "",
      ".",
      "..",
      "%2e%2e",
      "%2F",
      "a%2Fb",
      "%25",
      "%",
      "configmaps",
      "deployments",
      "log",
      ";",
      "#",
      "\\",
    ],
  );
  const pair = fc.constantFrom(
    ...[
      "watch",
      "watch=1",
      "w%61tch=true",
      "labelSelector=a%3Db",
      "label%53elector=",
      "labelSelector=%zz",
      "a;b",
    ],
    ...["labelSelector=a;b", "labelSelector=a%00", "labelSelector=a+in+(", "resourceVersion=0", "", "?", "="],
  );
  const target = fc
    .tuple(fc.array(segment, { maxLength: 8 }), fc.array(pair, { maxLength: 5 }))
    .map(([path, query]) => `/${path.join("/")}${query.length === 0 ? "" : `?${query.join("&")}`}`);
  const method = fc.constantFrom("GET", "HEAD", "DELETE", "POST", "get", "OPTIONS");
  fc.assert(
    fc.property(method, target, (verb, path) => {
      const decision = decide(request(verb, path), rules);
      if (decision.kind !== "forward") return;
      const upstream = parseRequestInfo(verb, decision.target);
      const collection = ["list", "watch", "deletecollection"].includes(upstream.verb);
      const isLimited =
        upstream.isResource &&
        collection &&
        rules.snapshot?.limitFor(upstream.apiGroup, upstream.resource) !== undefined &&
        upstream.namespace !== "own";
      assert.equal(decision.limited !== undefined, isLimited);
      if (isLimited) assert.match(upstream.query, /(^|&)labelSelector=team%3Da(&|%2C|$)/);
      else assert.equal(decision.target, path);
    }),
    { numRuns: 3_000 },
  );
});
