import assert from "node:assert/strict";
import { test } from "node:test";
import { jumpsIn, type Redirect, redirectsIn, rulesThatRedirect, rulesThatRemove } from "./rules.ts";

const redirect: Redirect = {
  apiServer: [
    { host: "10.96.0.1", port: 443 },
    { host: "fd00:10:96::1", port: 443 },
    { host: "10.96.0.9", port: 6443 },
  ],
  proxyPort: 5443,
  exemptUid: 1359,
};

test("init rules: IPv4 addresses and ports of the API server go to the proxy, its own user does not", () => {
  assert.equal(
    rulesThatRedirect("IPv4", redirect, []),
    `*nat
:CTRLMESH_OUTPUT - [0:0]
-A CTRLMESH_OUTPUT -m owner --uid-owner 1359 -j RETURN
-A CTRLMESH_OUTPUT -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 5443
-A CTRLMESH_OUTPUT -d 10.96.0.9/32 -p tcp -m tcp --dport 6443 -j REDIRECT --to-ports 5443
-I OUTPUT 1 -p tcp -j CTRLMESH_OUTPUT
COMMIT
`,
  );
});

test("init rules: IPv6 has its own, with whole addresses", () => {
  assert.equal(
    rulesThatRedirect("IPv6", redirect, []),
    `*nat
:CTRLMESH_OUTPUT - [0:0]
-A CTRLMESH_OUTPUT -m owner --uid-owner 1359 -j RETURN
-A CTRLMESH_OUTPUT -d fd00:10:96::1/128 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 5443
-I OUTPUT 1 -p tcp -j CTRLMESH_OUTPUT
COMMIT
`,
  );
});

const listing = `-P OUTPUT ACCEPT
-N CTRLMESH_OUTPUT
-N CTRLMESH_OUTPUT_OF_OTHERS
-A OUTPUT -p tcp -j CTRLMESH_OUTPUT
-A OUTPUT -j CTRLMESH_OUTPUT_OF_OTHERS
-A OUTPUT -p tcp -m mark --mark 0x7 -j CTRLMESH_OUTPUT
-A PREROUTING -p tcp -j CTRLMESH_OUTPUT
-A CTRLMESH_OUTPUT -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 5443
-A OTHER -p tcp -j REDIRECT --to-ports 1
`;

test("init rules: every earlier jump from OUTPUT goes in the same transaction, whatever it matches", () => {
  const jumps = jumpsIn(listing);
  assert.deepEqual(jumps, [
    "-A OUTPUT -p tcp -j CTRLMESH_OUTPUT",
    "-A OUTPUT -p tcp -m mark --mark 0x7 -j CTRLMESH_OUTPUT",
  ]);
  const lines = rulesThatRedirect("IPv4", redirect, jumps).split("\n");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("-D")),
    ["-D OUTPUT -p tcp -j CTRLMESH_OUTPUT", "-D OUTPUT -p tcp -m mark --mark 0x7 -j CTRLMESH_OUTPUT"],
  );
  assert.equal(lines.filter((line) => line.startsWith("-I")).length, 1);
  assert.equal(redirectsIn(listing), 1);
});

test("init rules: removal takes the jumps and then the chain, which is made first where there is none", () => {
  assert.equal(
    rulesThatRemove(["-A OUTPUT -p tcp -j CTRLMESH_OUTPUT"]),
    "*nat\n:CTRLMESH_OUTPUT - [0:0]\n-D OUTPUT -p tcp -j CTRLMESH_OUTPUT\n-X CTRLMESH_OUTPUT\nCOMMIT\n",
  );
});
