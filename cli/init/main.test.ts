import assert from "node:assert/strict";
import { test } from "node:test";
import { runInit } from "./main.ts";

const inPod = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

async function dryRun(argv: readonly string[], env: Record<string, string> = {}): Promise<string> {
  let told = "";
  const exitCode = await runInit(["--dry-run", ...argv], env, (text) => {
    told += text;
  });
  assert.equal(exitCode, 0);
  return told;
}

test("init: --dry-run prints the rules for the addresses of flags and environment, each once", async () => {
  const told = await dryRun(["--api-server", "10.96.0.1:443,[fd00:10:96::1]:443"], inPod);
  assert.deepEqual(told.match(/-d \S+/g), ["-d 10.96.0.1/32", "-d fd00:10:96::1/128"]);
  assert.deepEqual(told.match(/# IPv./g), ["# IPv4", "# IPv6"]);
});

test("init: a pod whose API server has one family gets rules for that one only", async () => {
  assert.deepEqual((await dryRun([], inPod)).match(/# IPv./g), ["# IPv4"]);
  const six = { KUBERNETES_SERVICE_HOST: "fd00:10:96::1" };
  assert.deepEqual((await dryRun([], six)).match(/# IPv.|-d \S+|--dport \d+/g), [
    "# IPv6",
    "-d fd00:10:96::1/128",
    "--dport 443",
  ]);
});

test("init: an address that both name may differ, and both are caught", async () => {
  const told = await dryRun(["--api-server", "10.96.0.9:443"], inPod);
  assert.deepEqual(told.match(/-d \S+/g), ["-d 10.96.0.9/32", "-d 10.96.0.1/32"]);
});

test("init: --remove --dry-run needs no address", async () => {
  assert.match(await dryRun(["--remove"]), /-X CTRLMESH_OUTPUT/);
});

const refused: readonly [readonly string[], Record<string, string>, RegExp][] = [
  [[], {}, /INVALID_FLAG.*--api-server.*not known/],
  [["--api-server", "kubernetes.default.svc:443"], {}, /INVALID_FLAG.*no IP:PORT.*rules hold addresses/],
  [["--api-server", "10.96.0.1"], {}, /INVALID_FLAG.*no IP:PORT/],
  [[], { KUBERNETES_SERVICE_HOST: "api.example.com" }, /INVALID_SETTING.*proxy-mode: "env"/],
  [["--iptables-backend", "pf"], inPod, /INVALID_FLAG.*one of nft, legacy/],
  [["--exempt-uid", "0"], inPod, /INVALID_FLAG/],
];
for (const [argv, env, message] of refused) {
  test(`init: ${argv.join(" ")} with ${JSON.stringify(env)} is refused with ${message}`, async () => {
    await assert.rejects(dryRun(argv, env), (error: Error & { code?: string }) => {
      assert.match(`${error.code}: ${error.message}`, message);
      return true;
    });
  });
}
