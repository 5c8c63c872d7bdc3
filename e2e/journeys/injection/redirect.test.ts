import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { addresses, dials, type ProbeResult } from "./redirect-probe.ts";

/** `ctrlmesh init` in a network namespace of its own: real iptables, real connections. Needs root and iptables. */

const script = fileURLToPath(new URL("./redirect-probe.ts", import.meta.url));

function probe(backend: string): ProbeResult {
  const { status, stdout, stderr } = spawnSync("unshare", ["--net", process.execPath, script, backend], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const answered = (answers: readonly string[]) =>
  dials.map(([who, host, port], index) => `${who} ${host} ${port}: ${answers[index]}`);
const { service4, other4, service6, other6 } = addresses;

for (const backend of ["nft", "legacy"]) {
  test(`init: with ${backend} nothing but the operator's traffic to the API server reaches the proxy`, () => {
    const { before, redirected, removed, rules, told, powerless } = probe(backend);
    const without = [
      `operator ${service4} 443: other mesh`,
      `proxy ${service4} 443: API server`,
      `operator ${service4} 8443: API server`,
      `operator ${other4} 443: other mesh`,
      `operator ${service6} 443: other mesh`,
      `proxy ${service6} 443: API server`,
      `operator ${service6} 8443: API server`,
      `operator ${other6} 443: other mesh`,
    ];
    assert.deepEqual(answered(before), without);
    const caught = [`operator ${service4} 443: `, `operator ${service6} 443: `];
    assert.deepEqual(
      answered(redirected),
      without.map((line) => {
        const place = caught.find((start) => line.startsWith(start));
        return place === undefined ? line : `${place}proxy`;
      }),
    );

    const [untouched, once, twice, gone] = rules;
    assert.notEqual(once, untouched);
    assert.equal(twice, once, "a second run leaves the same rules");
    for (const line of told.split("\n").filter((each) => each.startsWith("-"))) {
      assert.ok(once?.includes(`${line}\n`), `told, and not there: ${line}`);
    }
    assert.equal(told.match(/REDIRECT/g)?.length, 2);
    assert.equal(gone, untouched, "what others made stays");
    assert.deepEqual(answered(removed), without);

    assert.equal(powerless.exitCode, 1);
    assert.match(powerless.stderr, /REDIRECT_NOT_PERMITTED: .*NET_ADMIN.* missing; .*proxy-mode: "env"/);
  });
}
