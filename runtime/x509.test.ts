import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import {
  type Authority,
  createAuthority,
  hasNameConstraints,
  type IssuedCertificate,
  isKeyPairOf,
  issueCertificate,
  readCertificate,
} from "./x509.ts";

const run = promisify(execFile);
/** A second verifier, where it is installed. */
const needsOpenssl = {
  skip: spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed",
};
const permitted = {
  dnsNames: ["localhost", "kubernetes", "manager.mesh.svc"],
  ipRanges: ["127.0.0.0/8", "::1/128"],
};
const leaf = {
  commonName: "leaf",
  dnsNames: ["localhost", "kubernetes"],
  ipAddresses: ["127.0.0.1", "::1"],
  days: 7,
  usage: "server",
} as const;

test("x509: a leaf of a constrained authority verifies in a TLS 1.3 handshake by address and by name", async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 365, permitted });
  const issued = await issueCertificate(authority, leaf);
  assert.equal(await handshake(authority, issued, { host: "127.0.0.1" }), "TLSv1.3");
  assert.equal(
    await handshake(authority, issued, { host: "127.0.0.1", servername: "kubernetes" }),
    "TLSv1.3",
  );
  await assert.rejects(handshake(authority, issued, { host: "127.0.0.1", servername: "other" }), {
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
  });
});

for (const [name, names] of [
  ["a DNS name", { dnsNames: ["evil.example.com"], ipAddresses: [] }],
  ["an IPv4 address", { dnsNames: [], ipAddresses: ["10.0.0.1"] }],
  ["an IPv6 address", { dnsNames: ["localhost"], ipAddresses: ["::2"] }],
] as const) {
  test(
    `x509: a leaf with ${name} outside the name constraints fails in Node and in openssl`,
    needsOpenssl,
    async () => {
      const authority = await createAuthority({ commonName: "mesh", days: 365, permitted });
      const outside = await issueCertificate(authority, { ...leaf, ...names });
      await assert.rejects(
        handshake(authority, outside, { host: "127.0.0.1", checkServerIdentity: () => undefined }),
        (error: NodeJS.ErrnoException) => /permitted subtree violation/i.test(error.message),
      );
      await assert.rejects(openssl(authority, outside), /permitted subtree violation/);
      const inside = await issueCertificate(authority, leaf);
      assert.match(await openssl(authority, inside), /leaf\.pem: OK/);
    },
  );
}

test("x509: an empty list of a form closes that form", needsOpenssl, async () => {
  const noAddresses = await createAuthority({
    commonName: "dns only",
    days: 1,
    permitted: { dnsNames: ["localhost"], ipRanges: [] },
  });
  const byAddress = await issueCertificate(noAddresses, { ...leaf, dnsNames: [] });
  await assert.rejects(openssl(noAddresses, byAddress), /excluded subtree violation/);
  const byName = await issueCertificate(noAddresses, { ...leaf, dnsNames: ["localhost"], ipAddresses: [] });
  assert.match(await openssl(noAddresses, byName), /OK/);
});

test("x509: an authority can't sign another authority that verifiers accept", needsOpenssl, async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 365 });
  const text = await opensslText(authority.certificatePem);
  assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
});

test("x509: a leaf tells its names, usage and dates back", needsOpenssl, async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 365, permitted });
  const now = new Date("2030-01-01T00:00:00Z");
  const issued = await issueCertificate(
    await createAuthority({ commonName: "mesh", days: 30, now, permitted }),
    { ...leaf, usage: "both", organization: "system:masters", now },
  );
  const facts = readCertificate(issued.certificatePem);
  assert.deepEqual(facts.dnsNames, ["localhost", "kubernetes"]);
  assert.deepEqual(facts.ipAddresses, ["127.0.0.1", "::1"]);
  assert.equal(facts.isAuthority, false);
  assert.equal(facts.notAfter.toISOString(), "2030-01-08T00:00:00.000Z");
  assert.equal(facts.notBefore.toISOString(), "2029-12-31T23:55:00.000Z");
  assert.match(facts.subject, /O=system:masters, CN=leaf/);
  assert.deepEqual(issued.notAfter, facts.notAfter);
  assert.match(await opensslText(issued.certificatePem), /TLS Web Server Authentication, TLS Web Client/);
  assert.equal(readCertificate(authority.certificatePem).isAuthority, true);
});

test("x509: a leaf never outlives its authority", async () => {
  const authority = await createAuthority({ commonName: "short", days: 2 });
  const { notAfter } = await issueCertificate(authority, leaf);
  assert.deepEqual(notAfter, readCertificate(authority.certificatePem).notAfter);
});

test("x509: a public key that was brought along is certified and no private key comes back", async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 1 });
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKeySpki = publicKey.export({ type: "spki", format: "der" });
  const issued = await issueCertificate(authority, { ...leaf, publicKeySpki });
  assert.equal(issued.privateKeyPem, undefined);
  assert.ok(new X509Certificate(issued.certificatePem).checkPrivateKey(privateKey));
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  assert.equal(isKeyPairOf(authority.certificatePem, issued.certificatePem, pem), true);
});

test("x509: key pair check tells another authority and another key", async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 1 });
  const other = await createAuthority({ commonName: "mesh", days: 1 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, leaf);
  assert.equal(isKeyPairOf(authority.certificatePem, certificatePem, privateKeyPem), true);
  assert.equal(isKeyPairOf(other.certificatePem, certificatePem, privateKeyPem), false);
  assert.equal(isKeyPairOf(authority.certificatePem, certificatePem, other.privateKeyPem), false);
});

test("x509: name constraints of an authority are told apart", async () => {
  const { certificatePem } = await createAuthority({ commonName: "mesh", days: 1, permitted });
  assert.equal(hasNameConstraints(certificatePem, permitted), true);
  assert.equal(hasNameConstraints(certificatePem, { ...permitted, dnsNames: ["localhost"] }), false);
  const free = await createAuthority({ commonName: "mesh", days: 1 });
  assert.equal(hasNameConstraints(free.certificatePem, permitted), false);
});

test("x509: bad input gets one clear error each", async () => {
  const authority = await createAuthority({ commonName: "mesh", days: 1 });
  const other = await createAuthority({ commonName: "mesh", days: 1 });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const pem = (key: typeof rsa.privateKey) => key.export({ type: "pkcs8", format: "pem" }).toString();
  const broken = authority.certificatePem.replace(/\n[A-Za-z0-9+/]{10}/, "\nAAAAAAAAAA");
  const cases: readonly [string, () => unknown, string, RegExp][] = [
    ["no PEM", () => readCertificate("hello", "tls.crt"), "INVALID_CERTIFICATE", /^tls\.crt: no PEM block/],
    ["empty", () => readCertificate("", "tls.crt"), "INVALID_CERTIFICATE", /^tls\.crt: no PEM block/],
    ["a key", () => readCertificate(authority.privateKeyPem), "INVALID_CERTIFICATE", /no PEM block/],
    ["broken DER", () => readCertificate(broken), "INVALID_CERTIFICATE", /can't be decoded/],
    [
      "key is no PEM",
      () => issueCertificate({ ...authority, privateKeyPem: "x" }, leaf),
      "INVALID_KEY_FILE",
      /^the authority's key: no unencrypted PEM private key/,
    ],
    [
      "RSA key",
      () => issueCertificate({ ...authority, privateKeyPem: pem(rsa.privateKey) }, leaf),
      "INVALID_KEY_FILE",
      /an EC P-256 key is needed, found rsa/,
    ],
    [
      "key of another certificate",
      () => issueCertificate({ ...authority, privateKeyPem: other.privateKeyPem }, leaf),
      "INVALID_KEY_FILE",
      /not that of the certificate/,
    ],
    [
      "public key is no DER",
      () => issueCertificate(authority, { ...leaf, publicKeySpki: new Uint8Array([1, 2]) }),
      "INVALID_KEY_FILE",
      /^public key: no DER/,
    ],
    [
      "public key of another curve",
      () =>
        issueCertificate(authority, {
          ...leaf,
          publicKeySpki: p384.publicKey.export({ type: "spki", format: "der" }),
        }),
      "INVALID_KEY_FILE",
      /found ec secp384r1/,
    ],
    [
      "bad address",
      () => issueCertificate(authority, { ...leaf, ipAddresses: ["300.1.1.1"] }),
      "INVALID_CERTIFICATE",
      /"300\.1\.1\.1" is no IP address/,
    ],
    [
      "bad range",
      () =>
        createAuthority({ commonName: "x", days: 1, permitted: { dnsNames: [], ipRanges: ["10.0.0.0/33"] } }),
      "INVALID_CERTIFICATE",
      /"10\.0\.0\.0\/33" is no CIDR/,
    ],
  ];
  for (const [name, act, code, message] of cases) {
    await assert.rejects(async () => act(), { code, message }, name);
  }
});

async function handshake(
  authority: Authority,
  issued: IssuedCertificate,
  options: { host: string; servername?: string; checkServerIdentity?: () => undefined },
): Promise<string | null> {
  const server = createServer({ key: issued.privateKeyPem, cert: issued.certificatePem });
  server.on("tlsClientError", () => {});
  server.listen(0, options.host);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  let socket: TLSSocket | undefined;
  try {
    socket = connect({ ...options, port, ca: authority.certificatePem });
    await once(socket, "secureConnect");
    return socket.getProtocol();
  } finally {
    socket?.destroy();
    server.close();
  }
}

async function openssl(authority: Authority, issued: IssuedCertificate): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "x509-"));
  try {
    await writeFile(join(folder, "ca.pem"), authority.certificatePem);
    await writeFile(join(folder, "leaf.pem"), issued.certificatePem);
    const { stdout } = await run("openssl", ["verify", "-x509_strict", "-CAfile", "ca.pem", "leaf.pem"], {
      cwd: folder,
    });
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function opensslText(pem: string): Promise<string> {
  const child = run("openssl", ["x509", "-noout", "-text"]);
  child.child.stdin?.end(pem);
  return (await child).stdout;
}
