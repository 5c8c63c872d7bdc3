import assert from "node:assert/strict";
import { globSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Grant } from "#api/gen/ctrlmesh/v1/control_pb";
import { startControlPlane } from "../cluster/control-plane.ts";
import { eventually } from "../proxied/proxied-operator.ts";
import { type HttpAnswer, type HttpClient, type HttpRequest, httpClient, negotiates } from "./client.ts";
import { continueToken, everywhere, listVersion } from "./masks.ts";
import { differencesOf, withSelector } from "./outcome.ts";
import { member, type Step } from "./row.ts";
import { lowerHalf } from "./rows/lists.ts";
import { type Stage, setStage, shardSelector } from "./stage.ts";
import { traps } from "./traps.ts";

/**
 * The traps that no other test has, on an API server with all gates of interest off, with compaction each second
 * and with GOAWAY as often as it can be had.
 */

const root = fileURLToPath(new URL("../..", import.meta.url));
const trapCount = 21;
const secrets = "/api/v1/secrets";
const watchList = `${secrets}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1`;

let stage: Stage;
let direct: HttpClient;
let proxied: HttpClient;
const stack = new AsyncDisposableStack();

before(async () => {
  const plane = await startControlPlane({
    featureGates: { WatchList: false, CBORServingAndStorage: false, ShardedListAndWatch: false },
    apiserverArgs: ["--etcd-compaction-interval=1s", "--goaway-chance=0.02"],
  });
  stage = stack.use(await setStage(plane));
  direct = stack.use(httpClient("http1", stage.direct));
  proxied = stack.use(httpClient("http1", stage.proxied));
});

after(() => stack.disposeAsync());

/** Sends a step in both ways, and finds no difference. @returns the answer */
async function same(step: Step): Promise<HttpAnswer> {
  const { limited: _, ...asWritten } = step;
  const [left, right] = await Promise.all([
    direct.send(withSelector(step, shardSelector)),
    proxied.send(asWritten),
  ]);
  assert.deepEqual(differencesOf([left], [right], [...everywhere, listVersion, continueToken]), []);
  return right;
}

test("traps: each number has its line, and a test of its own or one that exists elsewhere", () => {
  const own = readFileSync(fileURLToPath(import.meta.url), "utf8");
  const expected = Array.from({ length: trapCount }, (_, index) => index + 1);
  assert.deepEqual(Object.keys(traps).map(Number), expected);
  const missing = Object.entries(traps).flatMap(([number, { elsewhere }]) => {
    const isHere = own.includes(`test("trap ${number}: `);
    if (elsewhere.length === 0 && !isHere) return [`trap ${number}: no test`];
    return elsewhere
      .filter(([file, name]) => !isNamedIn(readFileSync(join(root, file), "utf8"), name))
      .map(([file, name]) => `trap ${number}: "${name}" is not in ${file}`);
  });
  assert.deepEqual(missing, []);
});

/** As a whole string, or as the beginning of one when it ends with a blank; skipped tests do not count. */
function isNamedIn(text: string, name: string): boolean {
  const escaped = name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll("…", "\\$\\{[^}]*\\}");
  return new RegExp(`(?<!\\b(?:skip|todo)\\(\\s*)(["'\`])${escaped}${name.endsWith(" ") ? "" : "\\1"}`).test(
    text,
  );
}

test("trap 1: a WatchList that can't be served is refused before its head, never answered 200 and silence", async () => {
  assert.equal((await same({ target: watchList, limited: true })).status, 422);
});

test("trap 2: with the gate off on the API server its own refusal comes back, and a plain list and watch go on", async () => {
  const refused = await same({ target: watchList, limited: true });
  assert.match(
    refused.body.toString(),
    /sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled/,
  );
  const listed = await same({ target: secrets, limited: true });
  const from = `${secrets}?watch=1&timeoutSeconds=1&resourceVersion=${member(listed, "metadata", "resourceVersion")}`;
  assert.equal((await same({ target: from, limited: true })).status, 200);
});

test("trap 4: the 410 of an expired list comes with its fresh continue token, which the proxy does not go on from", async () => {
  const page = `${secrets}?limit=2`;
  const first = await proxied.send({ target: page });
  const token = String(member(first, "metadata", "continue"));
  const next: HttpRequest = { target: `${page}&continue=${token}` };
  let writes = 0;
  await eventually(
    async () => {
      // Compaction needs revisions to leave behind.
      await stage.admin.ok(["create", "configmap", `written-${++writes}`, "-n", "op"]);
      return (await direct.send(withSelector({ ...next, limited: true }, shardSelector))).status === 410;
    },
    () => "the token never expires",
  );
  const expired = await same({ ...next, limited: true });
  assert.equal(expired.status, 410);
  const fresh = String(member(expired, "metadata", "continue"));
  assert.notEqual(fresh, "undefined");
  // It names no version any more (-1), so nothing tells whether its pages are all of one view: list anew.
  const rest = await proxied.send({ target: `${secrets}?continue=${fresh}` });
  assert.equal(rest.status, 410);
  assert.match(rest.body.toString(), /start the list anew.*"reason":"Expired"/);
  assert.equal((await same({ target: secrets, limited: true })).status, 200);
});

test("trap 7: with CBOR off on the API server clients get its 415 and 406, and fall back for ever", async () => {
  const body = Buffer.from("d9d9f7a0", "hex");
  const target = "/api/v1/namespaces/team-a/configmaps";
  const headers = { "content-type": "application/cbor" };
  assert.equal((await same({ method: "POST", target, headers, body })).status, 415);
  assert.equal((await same({ target, headers: { accept: "application/cbor" }, limited: true })).status, 406);
  const list = {
    target,
    headers: { accept: "application/cbor;q=0.9,application/json;q=0.8" },
    limited: true,
  };
  const fallback = await same(list);
  assert.equal(fallback.status, 200);
  assert.equal(fallback.body.toString("utf8", 0, 1), "{");
});

test("trap 9: a small event reaches the client with nothing behind it", async () => {
  const watch = await stage.operator.open(`${secrets}?watch=1&resourceVersion=0`);
  let received = "";
  watch.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  for (const name of ["small-1", "small-2", "small-3"]) {
    const body = JSON.stringify({ metadata: { name, labels: { team: "a" } } });
    const headers = { "content-type": "application/json" };
    const { status } = await direct.send({
      method: "POST",
      target: "/api/v1/namespaces/team-a/secrets",
      headers,
      body,
    });
    assert.equal(status, 201);
    // No other event pushes this one out: the next one is written when it has come.
    await eventually(
      () => new RegExp(`"name":"${name}".*\\n$`).test(received),
      () => `no event of ${name}`,
    );
  }
  watch.destroy();
});

test("trap 10: GOAWAY costs no request and ends no watch", async () => {
  assert.ok(await negotiates(stage.proxied, "h2"), "the proxy negotiates h2");
  for (const endpoint of [stage.direct, stage.proxied]) {
    await using client = httpClient("http2", endpoint);
    const watch = client.send({ target: `${secrets}?watch=1&resourceVersion=0&timeoutSeconds=2` });
    // One request in 50 is answered with GOAWAY; 2,000 without any are not to be had by chance.
    for (let count = 0; count < 2000 && (count < 100 || client.connections === 1); count++)
      assert.equal((await client.send({ target: "/version" })).status, 200);
    assert.equal((await watch).status, 200);
    assert.ok(client.connections > 1, "connections");
  }
});

test("trap 12: the data plane carries HTTP/2 without Node's HTTP/2 client", () => {
  const files = globSync("proxy/{apiserver,http1,http2}/**/*.ts", { cwd: root }).filter(
    (file) => !/\.test\.ts$|harness\.ts$|\.tmp\.ts$/.test(file),
  );
  assert.ok(files.length > 20);
  const users = files.filter((file) => /from "node:http2"/.test(readFileSync(join(root, file), "utf8")));
  assert.deepEqual(users, []);
});

test("trap 14: both sides of a quiet watch are probed by TCP keepalive", async () => {
  const watch = await stage.operator.open(`${secrets}?watch=1`);
  let silent: readonly TcpSocket[] = [];
  // A socket that has just sent shows another timer.
  await eventually(
    () => {
      const mine = socketsOf(stage.operator.pid).filter(({ isEstablished }) => isEstablished);
      const down = mine.filter(({ local }) => local === stage.proxied.port);
      const up = mine.filter(({ remote }) => remote === stage.direct.port);
      silent = [...down, ...up].filter(({ hasKeepAlive }) => !hasKeepAlive);
      return down.length > 0 && up.length > 0 && silent.length === 0;
    },
    () => `not probed: ${JSON.stringify(silent)}`,
  );
  watch.destroy();
});

interface TcpSocket {
  readonly local: number;
  readonly remote: number;
  readonly isEstablished: boolean;
  readonly hasKeepAlive: boolean;
}

/** A process's TCP sockets as the kernel tells of them: proc(5), /proc/net/tcp. */
function socketsOf(pid: number): TcpSocket[] {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set(
    readdirSync(folder).map((descriptor) => /^socket:\[(\d+)\]$/.exec(linkOf(join(folder, descriptor)))?.[1]),
  );
  const lines = ["tcp", "tcp6"].flatMap((name) =>
    readFileSync(`/proc/net/${name}`, "utf8").trim().split("\n").slice(1),
  );
  return lines.flatMap((line) => {
    const [, local = "", remote = "", state, , timer = "", , , , inode] = line.trim().split(/\s+/);
    if (!inodes.has(inode)) return [];
    const portOf = (address: string): number => Number.parseInt(address.split(":").at(-1) ?? "", 16);
    // 02: the keepalive timer runs.
    const hasKeepAlive = timer.startsWith("02:");
    return [{ local: portOf(local), remote: portOf(remote), isEstablished: state === "01", hasKeepAlive }];
  });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed meanwhile
  }
}

test("trap 20: with the gate off shardSelector is overlooked: all objects of the shard come, and no error", async () => {
  const plain = await same({ target: secrets, limited: true });
  for (const selector of [lowerHalf, "nonsense"]) {
    const listed = await same({ target: `${secrets}?shardSelector=${selector}`, limited: true });
    assert.equal(listed.status, 200);
    assert.deepEqual(member(listed, "items"), member(plain, "items"));
  }
});

test("trap 21: a watch's bookmarks come as often as the API server sends them, with its versions", async () => {
  const query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=3";
  const watch = proxied.send({ target: `${secrets}?${query}` });
  const { body } = await direct.send({
    method: "POST",
    target: "/api/v1/namespaces/team-b/secrets",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ metadata: { name: "of-another-shard", labels: { team: "b" } } }),
  });
  const written = BigInt(/"resourceVersion": ?"(\d+)"/.exec(body.toString())?.[1] ?? 0);
  const events = (await watch).body.toString().trim().split("\n");
  const last: unknown = JSON.parse(events.at(-1) ?? "");
  const shown = /"type":"BOOKMARK".*"resourceVersion":"(\d+)"/.exec(JSON.stringify(last))?.[1] ?? 0;
  assert.ok(
    written > 0n && BigInt(shown) >= written,
    `the informer comes to ${shown}, the write was ${written}`,
  );
});

test("trap 8: while the shard has no grant, lists and WatchLists get 429 with Retry-After before any head of 200, in their encoding", async () => {
  await stage.manager.show({ grant: Grant.NOT_GRANTED, grantReason: "for this test" });
  const answers = ["application/json", "application/vnd.kubernetes.protobuf", "application/cbor"].flatMap(
    (accept) =>
      [secrets, watchList].map(async (target) => {
        const { status, headers, body } = await proxied.send({ target, headers: { accept } });
        const fields = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
        assert.equal(status, 429);
        assert.match(fields.get("retry-after") ?? "", /^[1-9]\d*$/);
        assert.equal(fields.get("content-type"), accept);
        assert.match(body.toString("latin1"), /TooManyRequests/);
      }),
  );
  await Promise.all(answers);
});
