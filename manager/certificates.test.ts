import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { wellKnown } from "#api/names";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { createAuthority, issueCertificate, readCertificate } from "#runtime/x509";
import { certificatesOf, ensureMeshAuthority } from "./ca.ts";
import { permittedNames } from "./certificate-names.ts";
import { Certificates } from "./certificates.ts";
import { MemoryClient } from "./memory-client.ts";
import { secretBody, textsOfSecret } from "./secret-texts.ts";

const names = { namespace: "ctrlmesh", serviceHosts: ["10.96.0.1"], webhookHost: undefined };
const dayMs = 86_400_000;
const { signal } = new AbortController();
const pod = { name: "op-0", namespace: "billing", uid: "6f1c", podIp: "10.1.2.3" };

function bench() {
  const client = new MemoryClient();
  const clock = new FakeClock();
  const deps = { client, clock, log: silentLog, names };
  const caDeps = { client, clock, log: silentLog, namespace: "ctrlmesh", permitted: permittedNames(names) };
  return { client, clock, deps, caDeps };
}

function secretTexts(client: MemoryClient, name: string): ReadonlyMap<string, string> {
  const secret = client.peek("secrets", name, "ctrlmesh");
  assert.ok(secret, `no Secret ${name}`);
  return textsOfSecret(secret);
}

function spki(): Uint8Array {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return publicKey.export({ type: "spki", format: "der" });
}

test("mesh CA: the first replica makes it, the next ones read the same, also at the same time", async () => {
  const { client, caDeps } = bench();
  const made = await Promise.all([1, 2, 3].map(() => ensureMeshAuthority(caDeps, signal)));
  assert.equal(new Set(made.map(({ bundlePem }) => bundlePem)).size, 1);
  assert.equal(client.writes, 1);
  assert.equal(certificatesOf(made[0]?.bundlePem ?? "").length, 1);
});

test("mesh CA: a new one is announced two years before the end, signs one year before, and the last stays trusted", async () => {
  const { client, clock, caDeps } = bench();
  const first = await ensureMeshAuthority(caDeps, signal);
  clock.jumpWall((3650 - 731) * dayMs);
  assert.equal((await ensureMeshAuthority(caDeps, signal)).bundlePem, first.bundlePem);
  clock.jumpWall(2 * dayMs);
  const announced = await ensureMeshAuthority(caDeps, signal);
  assert.equal(announced.authority.certificatePem, first.authority.certificatePem);
  assert.equal(certificatesOf(announced.bundlePem).length, 2);
  clock.jumpWall(365 * dayMs);
  const renewed = await ensureMeshAuthority(caDeps, signal);
  assert.equal(renewed.authority.certificatePem, certificatesOf(announced.bundlePem)[1]);
  assert.ok(renewed.bundlePem.includes(first.authority.certificatePem));
  clock.jumpWall(366 * dayMs);
  const writes = client.writes;
  const later = await ensureMeshAuthority(caDeps, signal);
  assert.equal(later.authority.certificatePem, renewed.authority.certificatePem);
  assert.equal(client.writes, writes, "a valid CA is never overwritten");
});

test("mesh CA: names that it does not permit take a new one, and the last stays trusted", async () => {
  const { caDeps } = bench();
  const first = await ensureMeshAuthority(caDeps, signal);
  const permitted = permittedNames({ ...names, webhookHost: "192.0.2.7" });
  const second = await ensureMeshAuthority({ ...caDeps, permitted }, signal);
  assert.notEqual(second.authority.certificatePem, first.authority.certificatePem);
  assert.deepEqual(certificatesOf(second.bundlePem), [
    second.authority.certificatePem,
    first.authority.certificatePem,
  ]);
});

test("mesh CA: one that users brought is used as it is, and its end is told", async () => {
  const { client, clock, caDeps } = bench();
  const own = await createAuthority({ commonName: "Example Corp", days: 30, now: new Date(clock.now()) });
  await storeCa(client, { "tls.crt": own.certificatePem, "tls.key": own.privateKeyPem });
  assert.equal((await ensureMeshAuthority(caDeps, signal)).authority.certificatePem, own.certificatePem);
  clock.jumpWall(31 * dayMs);
  await assert.rejects(ensureMeshAuthority(caDeps, signal), {
    code: "INVALID_CERTIFICATE",
    message: /expired/,
  });
  assert.equal(client.writes, 1);
});

const broken: readonly [
  string,
  (own: { certificatePem: string; privateKeyPem: string }) => Record<string, string>,
  string,
  RegExp,
][] = [
  [
    "no certificate",
    ({ privateKeyPem }) => ({ "tls.key": privateKeyPem }),
    "INVALID_CERTIFICATE",
    /ctrlmesh-ca: tls\.crt/,
  ],
  [
    "a text that is none",
    (own) => ({ "tls.crt": "x", "tls.key": own.privateKeyPem }),
    "INVALID_CERTIFICATE",
    /tls\.crt: no PEM/,
  ],
  ["no key", (own) => ({ "tls.crt": own.certificatePem }), "INVALID_KEY_FILE", /ctrlmesh-ca: tls\.key/],
  [
    "a bad bundle",
    (own) => ({ "tls.crt": own.certificatePem, "tls.key": own.privateKeyPem, "ca.crt": brokenPem }),
    "INVALID_CERTIFICATE",
    /ca\.crt/,
  ],
];
const brokenPem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
for (const [what, texts, code, message] of broken) {
  test(`mesh CA: a Secret with ${what} is refused with its place and not overwritten`, async () => {
    const { client, caDeps } = bench();
    await storeCa(client, texts(await createAuthority({ commonName: "x", days: 1 })));
    await assert.rejects(ensureMeshAuthority(caDeps, signal), { code, message });
    assert.equal(client.writes, 1);
  });
}

test("mesh CA: a leaf or another's key in the Secret is refused", async () => {
  const { client, caDeps } = bench();
  const authority = await createAuthority({ commonName: "x", days: 1 });
  const leaf = await issueCertificate(authority, {
    commonName: "l",
    dnsNames: ["l"],
    ipAddresses: [],
    days: 1,
    usage: "server",
  });
  await storeCa(client, { "tls.crt": leaf.certificatePem, "tls.key": leaf.privateKeyPem ?? "" });
  await assert.rejects(ensureMeshAuthority(caDeps, signal), { message: /no authority's/ });
  const other = bench();
  const another = await createAuthority({ commonName: "y", days: 1 });
  await storeCa(other.client, { "tls.crt": authority.certificatePem, "tls.key": another.privateKeyPem });
  await assert.rejects(ensureMeshAuthority(other.caDeps, signal), { code: "INVALID_KEY_FILE" });
});

test("certificates: a proxy gets 7 days and fixed names, and its address only when that is a loopback address", async () => {
  const { clock, deps } = bench();
  await using certificates = await Certificates.open(deps, signal);
  const { certificateChainPem, notAfter } = await certificates.issueProxyCertificate(spki(), pod);
  const facts = readCertificate(certificateChainPem);
  assert.deepEqual(facts.dnsNames, [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
  ]);
  assert.deepEqual(facts.ipAddresses, ["127.0.0.1", "::1", "10.96.0.1"]);
  assert.equal(notAfter.getTime(), clock.now() + 7 * dayMs);
  assert.ok(
    new X509Certificate(certificateChainPem).verify(
      new X509Certificate(certificates.meshBundlePem).publicKey,
    ),
  );
  const dual = bench();
  await using onDualStack = await Certificates.open(
    { ...dual.deps, names: { ...names, serviceHosts: ["10.96.0.1", "fd00::1"] } },
    signal,
  );
  const { certificateChainPem: both } = await onDualStack.issueProxyCertificate(spki(), pod);
  assert.deepEqual(readCertificate(both).ipAddresses, ["127.0.0.1", "::1", "10.96.0.1", "fd00::1"]);
  const onDevcluster = await certificates.issueProxyCertificate(spki(), { ...pod, podIp: "127.30.0.7" });
  assert.ok(readCertificate(onDevcluster.certificateChainPem).ipAddresses.includes("127.30.0.7"));
  for (const podIp of ["", "127.0.0.1.example.com", "::1"]) {
    const { ipAddresses } = readCertificate(
      (await certificates.issueProxyCertificate(spki(), { ...pod, podIp })).certificateChainPem,
    );
    assert.deepEqual(ipAddresses, ["127.0.0.1", "::1", "10.96.0.1"]);
  }
});

test("certificates: every replica says the same relay key for a group, and another for each other group", async () => {
  const { deps } = bench();
  await using one = await Certificates.open(deps, signal);
  await using two = await Certificates.open(deps, signal);
  const keyOf = (certificates: Certificates, namespace: string, ledger: string) =>
    Buffer.from(certificates.relayKey(namespace, ledger)).toString("hex");
  assert.equal(keyOf(one, "ops", "billing"), keyOf(two, "ops", "billing"));
  assert.equal(keyOf(one, "ops", "billing").length, 64);
  const keys = [keyOf(one, "ops", "billing"), keyOf(one, "ops", "other"), keyOf(one, "dev", "billing")];
  assert.equal(new Set(keys).size, 3);
});

test("certificates: a public key that is none is refused", async () => {
  const { deps } = bench();
  await using certificates = await Certificates.open(deps, signal);
  await assert.rejects(certificates.issueProxyCertificate(new Uint8Array(3), pod), {
    code: "INVALID_KEY_FILE",
  });
});

test("D43: the webhook certificate lives 90 days, is looked at without any event and renewed after a third", async () => {
  const { client, clock, deps } = bench();
  await using certificates = await Certificates.open(deps, signal);
  const first = certificates.webhookServing;
  const facts = readCertificate(first.certificatePem);
  assert.deepEqual(facts.dnsNames, ["ctrlmesh-webhook-service.ctrlmesh.svc"]);
  assert.equal(Math.round((facts.notAfter.getTime() - clock.now()) / dayMs), 90);
  let changes = 0;
  using _listening = certificates.onChange(() => changes++);
  clock.jumpWall(29 * dayMs);
  await certificates.refresh(signal);
  assert.equal(certificates.webhookServing.certificatePem, first.certificatePem);
  clock.jumpWall(2 * dayMs);
  await clock.advance(60_000);
  await until(() => changes === 1);
  assert.notEqual(certificates.webhookServing.certificatePem, first.certificatePem);
  const stored = secretTexts(client, wellKnown.webhookCertificateSecret);
  assert.equal(stored.get("tls.crt"), certificates.webhookServing.certificatePem);
  assert.deepEqual([...stored.keys()], ["tls.crt", "tls.key", "ca.crt"]);
});

test("D43: the CA's private key is in its Secret and in no other", async () => {
  const { client, deps } = bench();
  await using _certificates = await Certificates.open(deps, signal);
  const key = secretTexts(client, wellKnown.caSecret).get("tls.key");
  assert.ok(key);
  assert.ok(![...secretTexts(client, wellKnown.webhookCertificateSecret).values()].includes(key));
});

test("certificates: two replicas serve webhooks with one certificate, and one follows the other's renewal", async () => {
  const { clock, deps } = bench();
  await using first = await Certificates.open(deps, signal);
  await using second = await Certificates.open(deps, signal);
  assert.equal(first.webhookServing.certificatePem, second.webhookServing.certificatePem);
  clock.jumpWall(31 * dayMs);
  await first.refresh(signal);
  await second.refresh(signal);
  assert.equal(first.webhookServing.certificatePem, second.webhookServing.certificatePem);
});

test("certificates: a broken webhook Secret is replaced, since nothing of it is needed", async () => {
  const { client, deps } = bench();
  await using certificates = await Certificates.open(deps, signal);
  const secret = client.peek("secrets", wellKnown.webhookCertificateSecret, "ctrlmesh");
  await client.update(secretsKind, { ...secret, data: secretBody({ "tls.crt": "x" }) });
  await certificates.refresh(signal);
  assert.match(certificates.webhookServing.certificatePem, /BEGIN CERTIFICATE/);
});

test("certificates: while the API server is away, what is held goes on and the loop tries again", async () => {
  const { client, clock, deps } = bench();
  await using certificates = await Certificates.open(deps, signal);
  const held = certificates.controlServing.certificatePem;
  client.before = () => {
    throw new CtrlmeshError("API_UNREACHABLE", { what: "away" });
  };
  clock.jumpWall(31 * dayMs);
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.equal(certificates.controlServing.certificatePem, held);
  client.before = () => undefined;
  await clock.advance(60_000);
  await until(() => certificates.controlServing.certificatePem !== held);
  assert.deepEqual(readCertificate(certificates.controlServing.certificatePem).dnsNames, [
    "ctrlmesh-manager.ctrlmesh.svc",
  ]);
});

const secretsKind = { group: "", version: "v1", resource: "secrets", namespaced: true };

function storeCa(client: MemoryClient, texts: Record<string, string>): Promise<unknown> {
  return client.create(secretsKind, {
    metadata: { name: wellKnown.caSecret, namespace: "ctrlmesh" },
    data: secretBody(texts),
  });
}

/** Waits for work that the loop does outside the fake clock: key generation. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the certificates were not renewed within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("certificates: what ends first of those in use is told, and renewal puts it off", async () => {
  const { deps, clock } = bench();
  await using certificates = await Certificates.open(deps, signal);
  const first = certificates.soonestExpiryMs;
  assert.ok(first > clock.now());
  clock.jumpWall(first - clock.now() - 1000);
  await certificates.refresh(signal);
  assert.ok(certificates.soonestExpiryMs > first);
});
