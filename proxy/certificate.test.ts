import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { FakeClock } from "#runtime/fake-clock";
import { type Log, silentLog } from "#runtime/log";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { ServingCertificate } from "./certificate.ts";
import { type DurableFiles, durableFiles } from "./durable-files.ts";

const dayMs = 86_400_000;
let authority: Authority;
let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ctrlmesh-certificate-"));
  authority = await createAuthority({ commonName: "mesh", days: 3650 });
});
after(() => rm(folder, { recursive: true }));

interface Given {
  readonly name: string;
  readonly clock?: FakeClock;
  readonly files?: DurableFiles;
  readonly log?: Log;
}

function load({ name, clock = new FakeClock(Date.now()), files = durableFiles, log = silentLog }: Given) {
  return ServingCertificate.load({ stateDirectory: join(folder, name), files, clock, log });
}

async function issue(publicKeySpki: Uint8Array, days = 7): Promise<string> {
  const { certificatePem } = await issueCertificate(authority, {
    commonName: "proxy",
    dnsNames: ["kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1"],
    days,
    usage: "server",
    publicKeySpki,
  });
  return certificatePem;
}

test("certificate: before the first one there is no identity and the request is due now", async () => {
  const certificate = await load({ name: "first" });
  assert.equal(certificate.identity, undefined);
  assert.equal(certificate.renewalInMs, 0);
});

test("certificate: an accepted one is served, told to listeners, stored 0600 and taken up after a restart", async () => {
  const certificate = await load({ name: "kept" });
  const told: string[] = [];
  certificate.onChange(({ certificateChainPem }) => told.push(certificateChainPem));
  const chain = await issue(certificate.publicKeySpki);
  await certificate.accept(chain);
  assert.deepEqual(told, [chain]);
  assert.equal((await stat(certificate.path)).mode & 0o777, 0o600);
  const restarted = await load({ name: "kept" });
  assert.deepEqual(restarted.identity, certificate.identity);
  assert.deepEqual(restarted.publicKeySpki, certificate.publicKeySpki);
  const key = createPrivateKey(restarted.identity?.privateKeyPem ?? "");
  assert.ok(new X509Certificate(chain).checkPrivateKey(key));
});

test("certificate: its renewal is due when a third of its life is left", async () => {
  const clock = new FakeClock(Date.now());
  const certificate = await load({ name: "renewal", clock });
  await certificate.accept(await issue(certificate.publicKeySpki));
  const dueInMs = certificate.renewalInMs;
  assert.ok(Math.abs(dueInMs - (7 * dayMs * 2) / 3) < dayMs / 10, `due in ${dueInMs / dayMs} days`);
  await clock.advance(dueInMs);
  assert.equal(certificate.renewalInMs, 0);
});

test("certificate: one of another key is refused and the one in use stays", async () => {
  const certificate = await load({ name: "other-key" });
  const mine = await issue(certificate.publicKeySpki);
  await certificate.accept(mine);
  const other = await issue((await load({ name: "elsewhere" })).publicKeySpki);
  await assert.rejects(certificate.accept(other), { code: "INVALID_CERTIFICATE", message: /of another key/ });
  await assert.rejects(certificate.accept("-----BEGIN X"), {
    code: "INVALID_CERTIFICATE",
    message: /can't be parsed/,
  });
  assert.equal(certificate.identity?.certificateChainPem, mine);
});

test("certificate: an expired one is refused", async () => {
  const clock = new FakeClock(Date.now());
  const certificate = await load({ name: "expired", clock });
  const chain = await issue(certificate.publicKeySpki);
  clock.jumpWall(8 * dayMs);
  await assert.rejects(certificate.accept(chain), { code: "INVALID_CERTIFICATE", message: /it expired at/ });
});

test("certificate: a full disk does not keep it from being used", async () => {
  const files: DurableFiles = {
    ...durableFiles,
    replace: () => Promise.reject(new Error("no space left on device")),
  };
  const certificate = await load({ name: "full", files });
  await certificate.accept(await issue(certificate.publicKeySpki));
  assert.ok(certificate.identity !== undefined);
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
  type: "pkcs8",
  format: "pem",
});

interface BadFile {
  readonly title: string;
  readonly damage: (content: string) => string;
  readonly code: ErrorCode;
  readonly message: RegExp;
}

const badFiles: readonly BadFile[] = [
  { title: "an empty file", damage: () => "", code: "INVALID_KEY_FILE", message: /no PEM block PRIVATE KEY/ },
  {
    title: "a file without the key",
    damage: (content) => content.slice(content.indexOf("-----BEGIN CERTIFICATE")),
    code: "INVALID_KEY_FILE",
    message: /no PEM block PRIVATE KEY/,
  },
  {
    title: "a damaged key",
    damage: (content) => content.replace(/(PRIVATE KEY-----\n).{20}/, "$1AAAAAAAAAAAAAAAAAAAA"),
    code: "INVALID_KEY_FILE",
    message: /the private key is malformed/,
  },
  {
    title: "an RSA key",
    damage: (content) => rsa.toString() + content.slice(content.indexOf("-----BEGIN CERTIFICATE")),
    code: "INVALID_KEY_FILE",
    message: /the private key is rsa, not EC P-256/,
  },
  {
    title: "a key without a certificate",
    damage: (content) => content.slice(0, content.indexOf("-----BEGIN CERTIFICATE")),
    code: "INVALID_CERTIFICATE",
    message: /it can't be parsed/,
  },
  {
    title: "the key of another certificate",
    damage: (content) =>
      generateKeyPairSync("ec", { namedCurve: "prime256v1" })
        .privateKey.export({ type: "pkcs8", format: "pem" })
        .toString() + content.slice(content.indexOf("-----BEGIN CERTIFICATE")),
    code: "INVALID_CERTIFICATE",
    message: /it is of another key than ours/,
  },
];

for (const bad of badFiles) {
  test(`certificate: ${bad.title} on disk is told with its code and costs only a new request`, async () => {
    const name = bad.title.replaceAll(" ", "-");
    const first = await load({ name });
    await first.accept(await issue(first.publicKeySpki));
    await writeFile(first.path, bad.damage(await readFile(first.path, "utf8")));
    const errors: unknown[] = [];
    const log: Log = { ...silentLog, warn: (_message, fields) => errors.push(fields?.error) };
    const restarted = await load({ name, log });
    const error = errors[0];
    assert.ok(error instanceof CtrlmeshError);
    assert.equal(error.code, bad.code);
    assert.match(error.message, bad.message);
    assert.equal(restarted.identity, undefined);
    await restarted.accept(await issue(restarted.publicKeySpki));
    assert.ok(restarted.identity !== undefined);
  });
}
