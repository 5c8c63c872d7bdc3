import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, issueCertificate } from "#runtime/x509";

/** An admin of system:masters. PEM. */
export interface Credentials {
  readonly caPem: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

/** Writes what API servers of one cluster share: authority, serving certificate, keys of service accounts. */
export async function writeKeys(directory: string): Promise<Credentials> {
  const authority = await createAuthority({ commonName: "cluster-ca", days: 30 });
  const server = await issueCertificate(authority, {
    commonName: "kube-apiserver",
    dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1", "10.96.0.1"],
    days: 30,
    usage: "server",
  });
  const admin = await issueCertificate(authority, {
    commonName: "admin",
    organization: "system:masters",
    dnsNames: [],
    ipAddresses: [],
    days: 30,
    usage: "client",
  });
  const account = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const files: Record<string, string> = {
    "ca.crt": authority.certificatePem,
    "apiserver.crt": server.certificatePem,
    "apiserver.key": server.privateKeyPem ?? "",
    "sa.key": account.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    "sa.pub": account.publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  return {
    caPem: authority.certificatePem,
    clientCertificate: admin.certificatePem,
    clientKey: admin.privateKeyPem ?? "",
  };
}

/** @returns path of the admin's kubeconfig */
export function writeKubeconfig(directory: string, url: string, admin: Credentials): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const path = join(directory, "admin.kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority-data": base64(admin.caPem) } }],
    users: [
      {
        name: "admin",
        user: {
          "client-certificate-data": base64(admin.clientCertificate),
          "client-key-data": base64(admin.clientKey),
        },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
