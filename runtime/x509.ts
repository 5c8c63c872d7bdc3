import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  X509Certificate as NodeCertificate,
  webcrypto,
} from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { CtrlmeshError } from "#api/errors";
import { type NameConstraints, nameConstraintsExtension } from "./name-constraints.ts";

/**
 * Certificates: authorities, leaves, reading them. EC P-256 keys and SHA-256 throughout. The only file that
 * imports the certificate library, which costs tens of MiB: a proxy never loads it.
 */

export interface Authority {
  readonly certificatePem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

export interface AuthorityRequest {
  readonly commonName: string;
  readonly days: number;
  /** The only names that certificates of this authority may carry (RFC 5280 4.2.1.10). Absent: any. */
  readonly permitted?: NameConstraints;
  /** Now, for whoever has a clock of its own. */
  readonly now?: Date;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly days: number;
  readonly usage: "server" | "client" | "both";
  /** DER SubjectPublicKeyInfo of an EC P-256 key. Absent: a key pair is made. */
  readonly publicKeySpki?: Uint8Array;
  /** Becomes a group when the API server reads a client certificate. */
  readonly organization?: string;
  readonly now?: Date;
}

export interface IssuedCertificate {
  /** The leaf alone: verifiers have the authority. */
  readonly certificatePem: string;
  /** PKCS#8; absent when the request brought its public key. */
  readonly privateKeyPem?: string;
  readonly notAfter: Date;
}

export interface CertificateFacts {
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** RFC 4514 text, most specific part first as in the certificate. */
  readonly subject: string;
  readonly isAuthority: boolean;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
/** Certificates are good from a little earlier on, for machines whose clock is behind. */
const clockErrorMs = 5 * 60_000;

/** Makes a self-signed authority that may sign leaves only. */
export async function createAuthority(request: AuthorityRequest): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const usages = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [request.commonName] }],
    keys,
    signingAlgorithm: algorithm,
    ...validity(request),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usages, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(request.permitted === undefined ? [] : [constraintsOf(request.permitted)]),
    ],
  });
  return { certificatePem: pemOf(certificate), privateKeyPem: await privateKeyPemOf(keys.privateKey) };
}

/**
 * Issues a leaf. It never outlives its authority: `notAfter` tells the end that it got.
 *
 * @throws INVALID_CERTIFICATE, INVALID_KEY_FILE when the authority or the public key can't be used
 */
export async function issueCertificate(
  authority: Authority,
  request: CertificateRequest,
): Promise<IssuedCertificate> {
  const issuer = parseCertificate(authority.certificatePem, "the authority's certificate");
  const signingKey = await signingKeyOf(authority);
  const keys =
    request.publicKeySpki === undefined
      ? await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
      : undefined;
  const publicKey = keys?.publicKey ?? (await publicKeyOf(request.publicKeySpki ?? new Uint8Array()));
  const { notBefore, notAfter } = validity(request);
  const end = notAfter > issuer.notAfter ? issuer.notAfter : notAfter;
  const organization = request.organization === undefined ? [] : [{ O: [request.organization] }];
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [...organization, { CN: [request.commonName] }],
    issuer: issuer.subjectName,
    publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    notBefore,
    notAfter: end,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(extendedUsages[request.usage]),
      ...alternativeNames(request),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return {
    certificatePem: pemOf(certificate),
    ...(keys === undefined ? {} : { privateKeyPem: await privateKeyPemOf(keys.privateKey) }),
    notAfter: certificate.notAfter,
  };
}

/**
 * Reads the first certificate of a PEM text.
 *
 * @throws INVALID_CERTIFICATE
 */
export function readCertificate(pem: string, where = "certificate"): CertificateFacts {
  const certificate = parseCertificate(pem, where);
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return {
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    dnsNames: names.filter((name) => name.type === "dns").map((name) => name.value),
    ipAddresses: names.filter((name) => name.type === "ip").map((name) => name.value),
    subject: certificate.subject,
    isAuthority: certificate.getExtension(x509.BasicConstraintsExtension)?.ca ?? false,
  };
}

/**
 * Whether an authority is constrained to exactly these names.
 *
 * @throws INVALID_CERTIFICATE
 */
export function hasNameConstraints(pem: string, permitted: NameConstraints): boolean {
  const wanted = constraintsOf(permitted);
  const found = parseCertificate(pem, "the authority's certificate").getExtension(wanted.type);
  return found?.critical === true && Buffer.from(found.value).equals(Buffer.from(wanted.value));
}

/**
 * Whether certificate and key belong together, and the authority (by its own key) signed the certificate.
 *
 * @throws INVALID_CERTIFICATE, INVALID_KEY_FILE
 */
export function isKeyPairOf(
  authorityPem: string,
  certificatePem: string,
  privateKeyPem: string,
  where = "private key",
): boolean {
  parseCertificate(authorityPem, "the authority's certificate");
  parseCertificate(certificatePem, "certificate");
  const certificate = new NodeCertificate(certificatePem);
  return (
    certificate.verify(new NodeCertificate(authorityPem).publicKey) &&
    certificate.checkPrivateKey(parsePrivateKey(privateKeyPem, where))
  );
}

const extendedUsages: Record<CertificateRequest["usage"], x509.ExtendedKeyUsage[]> = {
  server: [x509.ExtendedKeyUsage.serverAuth],
  client: [x509.ExtendedKeyUsage.clientAuth],
  both: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
};

function alternativeNames({ dnsNames, ipAddresses }: CertificateRequest): x509.Extension[] {
  const bad = ipAddresses.find((address) => isIP(address) === 0);
  if (bad !== undefined)
    throw new CtrlmeshError("INVALID_CERTIFICATE", { what: `"${bad}" is no IP address`, where: "names" });
  if (dnsNames.length + ipAddresses.length === 0) return [];
  return [
    new x509.SubjectAlternativeNameExtension([
      ...dnsNames.map((value) => ({ type: "dns" as const, value })),
      ...ipAddresses.map((value) => ({ type: "ip" as const, value })),
    ]),
  ];
}

function constraintsOf(permitted: NameConstraints): x509.Extension {
  const { type, critical, value } = nameConstraintsExtension(permitted);
  return new x509.Extension(type, critical, value);
}

function validity({ days, now = new Date() }: { readonly days: number; readonly now?: Date }) {
  return {
    notBefore: new Date(now.getTime() - clockErrorMs),
    notAfter: new Date(now.getTime() + days * dayMs),
  };
}

function parseCertificate(pem: string, where: string): x509.X509Certificate {
  const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(pem)?.[0];
  if (block === undefined) {
    throw new CtrlmeshError("INVALID_CERTIFICATE", {
      what: "no PEM block CERTIFICATE in it",
      where,
      hint: 'expected text that starts with "-----BEGIN CERTIFICATE-----"',
    });
  }
  try {
    return new x509.X509Certificate(block);
  } catch (cause) {
    throw new CtrlmeshError("INVALID_CERTIFICATE", {
      what: "the certificate can't be decoded",
      where,
      cause,
    });
  }
}

function parsePrivateKey(pem: string, where: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new CtrlmeshError("INVALID_KEY_FILE", {
      what: "no unencrypted PEM private key",
      where,
      hint: "PKCS#8 or SEC1 PEM of an EC P-256 key is needed",
      cause,
    });
  }
}

async function signingKeyOf({ certificatePem, privateKeyPem }: Authority): Promise<webcrypto.CryptoKey> {
  const where = "the authority's key";
  const key = parsePrivateKey(privateKeyPem, where);
  refuseOtherCurves(key, where);
  if (!new NodeCertificate(certificatePem).checkPrivateKey(key)) {
    throw new CtrlmeshError("INVALID_KEY_FILE", { what: "the key is not that of the certificate", where });
  }
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
}

async function publicKeyOf(spki: Uint8Array): Promise<webcrypto.CryptoKey> {
  const where = "public key";
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (cause) {
    throw new CtrlmeshError("INVALID_KEY_FILE", { what: "no DER SubjectPublicKeyInfo", where, cause });
  }
  refuseOtherCurves(key, where);
  return webcrypto.subtle.importKey("spki", key.export({ type: "spki", format: "der" }), algorithm, true, [
    "verify",
  ]);
}

function refuseOtherCurves(key: KeyObject, where: string): void {
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1") return;
  const found = [key.asymmetricKeyType, key.asymmetricKeyDetails?.namedCurve].filter(Boolean).join(" ");
  throw new CtrlmeshError("INVALID_KEY_FILE", { what: `an EC P-256 key is needed, found ${found}`, where });
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

async function privateKeyPemOf(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
}
