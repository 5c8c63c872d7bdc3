import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, issueCertificate } from "#runtime/x509";

/** A client of the API server. PEM. */
export interface Credentials {
  readonly caPem: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

/** Who a client certificate names: a user and, as organization, the group that it is in. */
export interface CertifiedUser {
  readonly name: string;
  readonly group?: string;
}

/** A serving certificate to be written as `FILE.crt` and `FILE.key`. */
export interface ServingCertificate {
  readonly file: string;
  readonly commonName: string;
  readonly group?: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** The keys of one cluster: made once, and able to certify more users while its object lives. */
export interface ClusterKeys {
  readonly admin: Credentials;
  certify(user: CertifiedUser): Promise<Credentials>;
}

const days = 365;

/** What the API servers of a control plane on loopback are called. */
export const loopbackServer: ServingCertificate = {
  file: "apiserver",
  commonName: "kube-apiserver",
  dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
  ipAddresses: ["127.0.0.1", "10.96.0.1"],
};

/**
 * Writes what the API servers of one cluster share: authority (`ca.crt`, `ca.key`), keys of service accounts
 * (`sa.key`, `sa.pub`) and serving certificates.
 */
export async function writeKeys(
  directory: string,
  servers: readonly ServingCertificate[] = [loopbackServer],
): Promise<ClusterKeys> {
  const authority = await createAuthority({ commonName: "cluster-ca", days });
  const account = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const files: Record<string, string> = {
    "ca.crt": authority.certificatePem,
    "ca.key": authority.privateKeyPem,
    "sa.key": account.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    "sa.pub": account.publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
  for (const { file, commonName, group, dnsNames, ipAddresses } of servers) {
    const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
      commonName,
      ...(group === undefined ? {} : { organization: group }),
      dnsNames,
      ipAddresses,
      days,
      usage: "server",
    });
    files[`${file}.crt`] = certificatePem;
    files[`${file}.key`] = privateKeyPem;
  }
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  const certify = async ({ name, group }: CertifiedUser): Promise<Credentials> => {
    const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
      commonName: name,
      ...(group === undefined ? {} : { organization: group }),
      dnsNames: [],
      ipAddresses: [],
      days,
      usage: "client",
    });
    return { caPem: authority.certificatePem, clientCertificate: certificatePem, clientKey: privateKeyPem };
  };
  return { admin: await certify({ name: "admin", group: "system:masters" }), certify };
}

/** @returns path of the kubeconfig, `NAME.kubeconfig` */
export function writeKubeconfig(
  directory: string,
  url: string,
  credentials: Credentials,
  { name = "admin", cluster = "test" }: { readonly name?: string; readonly cluster?: string } = {},
): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const path = join(directory, `${name}.kubeconfig`);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": cluster,
    clusters: [
      {
        name: cluster,
        cluster: { server: url, "certificate-authority-data": base64(credentials.caPem) },
      },
    ],
    users: [
      {
        name,
        user: {
          "client-certificate-data": base64(credentials.clientCertificate),
          "client-key-data": base64(credentials.clientKey),
        },
      },
    ],
    contexts: [{ name: cluster, context: { cluster, user: name } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
