import assert from "node:assert/strict";
import { test } from "node:test";
import { customResourceDefinition } from "#api/crd";
import { shardingConfigDefinition } from "#api/sharding-config";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { type Abilities, judgeApiServer } from "./api-server.ts";
import { judgeLife } from "./certificates.ts";
import { judgeCrd } from "./crds.ts";
import type { Finding } from "./finding.ts";
import { conditionFindings } from "./shards.ts";
import { judgeFailure } from "./webhooks.ts";

const codes = (findings: readonly Finding[]) => findings.map(({ level, code }) => `${level} ${code}`);
const all: Abilities = {
  "native sidecars": true,
  "ValidatingAdmissionPolicy v1": true,
  "MutatingAdmissionPolicy v1": true,
  WatchList: true,
  CBOR: false,
};

test("api-server: what lacks the refusing policy is too old, what lacks a convenience is told", () => {
  assert.deepEqual(judgeApiServer("v1.36.3", all), []);
  assert.deepEqual(codes(judgeApiServer("v1.34.4", { ...all, "MutatingAdmissionPolicy v1": false })), [
    "info ApiServerLimited",
  ]);
  assert.deepEqual(codes(judgeApiServer("v1.29.1-eks", all)), ["error ApiServerTooOld"]);
  // A feature may be switched off in any version, and versions may be anything.
  const without = { ...all, "ValidatingAdmissionPolicy v1": false };
  assert.deepEqual(codes(judgeApiServer("custom", without)), ["error ApiServerTooOld"]);
});

test("webhooks: the API server's words tell what is the matter", () => {
  const said = (reason: string) =>
    `POST /apis/x: Internal error occurred: failed calling webhook "shardingconfigs.x": failed to call webhook: Post "https://w": ${reason}`;
  const cases: readonly (readonly [string, string])[] = [
    ["dial tcp 127.0.0.1:1: connect: connection refused", "WebhookDown"],
    ["context deadline exceeded", "WebhookDown"],
    ["no endpoints available for service", "WebhookDown"],
    ["tls: failed to verify certificate: x509: certificate signed by unknown authority", "WebhookCaWrong"],
    ["x509: certificate is valid for a.svc, not b.svc", "WebhookCaWrong"],
    [
      "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
      "CertificateExpired",
    ],
  ];
  for (const [reason, code] of cases) {
    const finding = judgeFailure(said(reason), "ctrlmesh");
    assert.equal(finding.code, code, reason);
    assert.ok(finding.what.endsWith(reason), finding.what);
  }
});

test("certificates: of a bundle the one that lasts longest counts, and little life left is told", async () => {
  const day = 86_400_000;
  const authority = await createAuthority({ commonName: "ca", days: 3650 });
  const certificate = async (days: number, agoDays: number) =>
    (
      await issueCertificate(authority, {
        commonName: "x",
        dnsNames: ["x"],
        ipAddresses: [],
        days,
        usage: "server",
        now: new Date(Date.now() - agoDays * day),
      })
    ).certificatePem;
  const [fresh, expired, ending] = [
    await certificate(90, 1),
    await certificate(90, 100),
    await certificate(90, 85),
  ];
  const judged = (...pems: readonly string[]) => codes(judgeLife(pems, "place", Date.now()));
  assert.deepEqual(judged(fresh), []);
  assert.deepEqual(judged(expired), ["error CertificateExpired"]);
  assert.deepEqual(judged(expired, fresh), []);
  assert.deepEqual(judged(ending), ["warning CertificateExpiring"]);
  assert.deepEqual(judged("no certificate"), ["error CertificateMissing"]);
  assert.deepEqual(codes(judgeLife([fresh], "place", Date.now() - 10 * day)), ["error CertificateExpired"]);
});

test("crds: the API server leaves empty members out, and any other difference is named by its path", () => {
  const wanted = customResourceDefinition(shardingConfigDefinition);
  const stored = structuredClone(wanted) as typeof wanted & { status: unknown };
  const established = { conditions: [{ type: "Established", status: "True" }] };
  assert.deepEqual(judgeCrd("shardingconfigs", wanted, { ...stored, status: established }), []);
  const older = JSON.parse(JSON.stringify(wanted).replace('"onLoss":', '"onLose":'));
  const [finding] = judgeCrd("shardingconfigs", wanted, { ...older, status: established });
  assert.equal(finding?.code, "CrdOutdated");
  assert.match(finding?.what ?? "", /schema\.properties\.spec\.properties\.onLoss differs/);
  assert.deepEqual(codes(judgeCrd("x.ctrlmesh.kusionstack.io", wanted, { ...stored, status: {} })), [
    "error CrdMissing",
  ]);
});

test("shards: a condition that waits for people is an error, one that passes is a warning", () => {
  const object = (type: string, status: string, observedGeneration = 1) => ({
    metadata: { namespace: "ops", name: "a", generation: 1 },
    status: {
      conditions: [
        { type: "Ready", status: "False", reason: "X", message: "not yet", observedGeneration },
        { type, status, reason: "X", message: "because", observedGeneration },
      ],
    },
  });
  assert.deepEqual(codes(conditionFindings(object("PodConflict", "True"))), ["error ShardNotReady"]);
  assert.deepEqual(codes(conditionFindings(object("Acknowledging", "True"))), ["warning ShardNotReady"]);
  assert.deepEqual(conditionFindings(object("Acknowledging", "False"))[0]?.what, "not yet");
  assert.match(conditionFindings(object("Granted", "False", 0))[0]?.what ?? "", /newest version/);
  assert.match(conditionFindings({ metadata: {} })[0]?.what ?? "", /no manager has looked/);
  assert.deepEqual(conditionFindings(object("Overlap", "True")), [], "told by the check itself");
});
