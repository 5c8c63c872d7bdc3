import assert from "node:assert/strict";
import { test } from "node:test";
import { missingCapabilities } from "./capabilities.ts";
import { iptablesFailure } from "./iptables-failure.ts";

const enoent = Object.assign(new Error("spawn ENOENT"), { code: "ENOENT" });
const cases: readonly [string, Error | undefined, string, RegExp][] = [
  ["", enoent, "REDIRECT_FAILED", /^iptables-nft: there is no such program in PATH; use an image/],
  ["", new Error("spawnSync ETIMEDOUT"), "REDIRECT_FAILED", /ETIMEDOUT/],
  [
    "iptables-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n",
    undefined,
    "REDIRECT_NOT_PERMITTED",
    /generation id.*; let the container ctrlmesh-init run as root with the capability NET_ADMIN/,
  ],
  [
    "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded.\n",
    undefined,
    "REDIRECT_FAILED",
    /the node's kernel can't hold the rules: .*; load nf_tables, nft_compat/,
  ],
  [
    "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Protocol not supported (you must be root)",
    undefined,
    "REDIRECT_FAILED",
    /let the manager run with --iptables-backend=legacy/,
  ],
  [
    "Warning: Extension owner revision 0 not supported, missing kernel module?\niptables-restore v1.8.9 (nf_tables):\nline 6: RULE_APPEND failed (No such file or directory)",
    undefined,
    "REDIRECT_FAILED",
    /xt_owner/,
  ],
  ["something else", undefined, "REDIRECT_FAILED", /^iptables-nft: something else$/],
  ["", undefined, "REDIRECT_FAILED", /it failed/],
];

for (const [stderr, cause, code, message] of cases) {
  test(`init: iptables that says ${JSON.stringify(stderr.slice(0, 70))} is ${code} ${message}`, () => {
    const error = iptablesFailure({ program: "iptables-nft", backend: "nft", stderr, cause });
    assert.equal(error.code, code);
    assert.match(error.message, message);
  });
}

test("init: capabilities are read from the effective set", () => {
  const status = (effective: string) => `Name:\tnode\nCapPrm:\tffffffffffffffff\nCapEff:\t${effective}\n`;
  assert.deepEqual(missingCapabilities(status("0000000000003000"), ["NET_ADMIN", "NET_RAW"]), []);
  assert.deepEqual(missingCapabilities(status("0000000000001000"), ["NET_ADMIN", "NET_RAW"]), ["NET_RAW"]);
  assert.deepEqual(missingCapabilities(status("0000000000000000"), ["NET_ADMIN"]), ["NET_ADMIN"]);
  assert.deepEqual(missingCapabilities("", ["NET_ADMIN"]), ["NET_ADMIN"]);
});
