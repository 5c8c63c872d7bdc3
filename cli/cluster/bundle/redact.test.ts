import assert from "node:assert/strict";
import { test } from "node:test";
import { createAuthority } from "#runtime/x509";
import { redacted, redactObject, redactText } from "./redact.ts";

const jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJvcGVyYXRvciJ9.c2lnbmF0dXJl-_x";

test("redactText: tokens, keys and passwords go, in every form that logs have them", async () => {
  const { certificatePem, privateKeyPem } = await createAuthority({ commonName: "ca", days: 1 });
  const secrets: readonly (readonly [string, string])[] = [
    [`token ${jwt} used`, jwt],
    [`authorization: Bearer abcdef123456`, "abcdef123456"],
    [`{"password":"hunter22","user":"me"}`, "hunter22"],
    ["--db-password=hunter22 --user=me", "hunter22"],
    ["postgres://me:hunter22@db:5432/x", "hunter22"],
    ["api_key: hunter22", "hunter22"],
    ['{"message":"sent {\\"password\\":\\"hunter22\\"}"}', "hunter22"],
    ['{"password":"two hunter22","user":"me"}', "hunter22"],
    ["secretKey=hunter22", "hunter22"],
    ['token="hunter22 and no more', "hunter22"],
    [String.raw`{"password":"a\"hunter22"}`, "hunter22"],
    [privateKeyPem, privateKeyPem.split("\n")[1] ?? ""],
    [
      `key: ${Buffer.from(privateKeyPem).toString("base64")}`,
      Buffer.from(privateKeyPem).toString("base64").slice(20, 60),
    ],
    [privateKeyPem.slice(0, 90), privateKeyPem.split("\n")[1]?.slice(0, 20) ?? ""],
  ];
  for (const [text, secret] of secrets) {
    assert.ok(text.includes(secret) && secret.length > 5);
    const clean = redactText(text);
    assert.ok(!clean.includes(secret), clean);
    assert.ok(clean.includes(redacted), clean);
  }
  const encoded = Buffer.from(certificatePem).toString("base64");
  assert.equal(redactText(encoded), encoded, "a certificate is public");
  const line = '{"level":"info","message":"proxy connected","pod":"operator-0","shard":"left","revision":7}';
  assert.equal(redactText(line), line);
  const empty = '{"token":"","user":"me"}';
  assert.equal(redactText(empty), empty);
});

test("redactObject: variables, arguments, data and foreign annotations lose their values", async () => {
  const { certificatePem } = await createAuthority({ commonName: "ca", days: 1 });
  const clean = redactObject({
    kind: "Pod",
    metadata: {
      name: "operator-0",
      annotations: {
        "ctrlmesh.kusionstack.io/proxy-mode": "env",
        "ctrlmesh.kusionstack.io/env-inject": "TOKEN=hidden1",
        "kubectl.kubernetes.io/last-applied-configuration": "hidden2",
      },
    },
    spec: {
      containers: [
        {
          name: "operator",
          args: ["--workers=4", "--key=hidden3", "plain"],
          env: [
            { name: "POD_NAME", value: "operator-0" },
            { name: "DATABASE", value: "hidden4" },
            { name: "FROM", valueFrom: { secretKeyRef: { name: "db", key: "url" } } },
          ],
        },
      ],
    },
    data: { "ca.crt": certificatePem, other: "hidden5" },
  });
  const text = JSON.stringify(clean);
  assert.doesNotMatch(text, /hidden/);
  assert.match(text, /"name":"DATABASE","value":"\[redacted\]"/);
  assert.match(text, /"name":"POD_NAME","value":"operator-0"/);
  assert.match(text, /"--key=\[redacted\]","plain"/);
  assert.match(text, /"secretKeyRef":\{"name":"db","key":"url"\}/);
  assert.ok(text.includes(JSON.stringify(certificatePem)));
  assert.match(text, /proxy-mode":"env"/);
});

test("redactObject: values in words of their own, headers of probes and annotations of templates go too", () => {
  const clean = redactObject({
    kind: "StatefulSet",
    metadata: { name: "operator" },
    spec: {
      template: {
        metadata: {
          annotations: {
            "ctrlmesh.kusionstack.io/proxy-mode": "iptables",
            "ctrlmesh.kusionstack.io/env-inject":
              '[{"name":"operator","env":[{"key":"DB","value":"hidden1"}]}]',
            "vault.example.com/role-id": "hidden2",
          },
        },
        spec: {
          containers: [
            {
              name: "operator",
              command: ["sh", "-c", "login hidden3"],
              args: ["run", "--password", "hidden4", "--verbose", "--workers=4", "plain"],
              livenessProbe: { httpGet: { httpHeaders: [{ name: "X-Key", value: "hidden5" }] } },
            },
          ],
        },
      },
    },
  });
  const text = JSON.stringify(clean);
  assert.doesNotMatch(text, /hidden/);
  assert.match(text, /proxy-mode":"iptables"/);
  assert.match(text, /"command":\["sh","-c","\[redacted\]"\]/);
  assert.match(text, /"run","--password","\[redacted\]","--verbose","--workers=\[redacted\]","plain"/);
});
