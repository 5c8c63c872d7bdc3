import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { wellKnown } from "#api/names";
import type { KubeClient } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { NameConstraints } from "#runtime/name-constraints";
import {
  type Authority,
  createAuthority,
  hasNameConstraints,
  isKeyPairOf,
  readCertificate,
} from "#runtime/x509";
import { readSecret, writeSecret } from "./secret-store.ts";
import { textsOfSecret } from "./secret-texts.ts";

/**
 * The mesh CA: signs the serving certificates of proxies, control stream and webhooks, for a closed set of
 * names. It lives in the Secret `ctrlmesh-ca` of the manager's namespace; whoever comes first makes it.
 *
 * Clients read a CA file once, at their start, so a new authority is published long before it signs: it is
 * made `announceDays` before the end of the present one and takes over `overlapDays` before it. All that are
 * still valid stay in the bundle.
 */

const lifeDays = 3650;
const announceDays = 730;
const overlapDays = 365;
const dayMs = 86_400_000;

export interface MeshAuthority {
  /** Signs now. */
  readonly authority: Authority;
  /** All authorities that a verifier must trust, the signing one first. */
  readonly bundlePem: string;
}

export interface MeshAuthorityDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly namespace: string;
  /**
   * Names that the authority may sign. One of ours that was made for others is replaced, and stays in the
   * bundle; one that users brought stays as it is.
   */
  readonly permitted: NameConstraints;
}

const keys = {
  certificate: "tls.crt",
  privateKey: "tls.key",
  nextCertificate: "next.crt",
  nextPrivateKey: "next.key",
  bundle: "ca.crt",
} as const;

const ourName = "ctrlmesh mesh CA";
const attempts = 5;

/**
 * Reads the mesh CA, makes it when there is none, renews it when it is time. Safe to call from several
 * replicas at once: writes are compare-and-swap, and who loses takes what the other wrote.
 *
 * @throws INVALID_CERTIFICATE, INVALID_KEY_FILE when the Secret holds something else: it is never overwritten,
 *   since what users put there by hand may be all that there is of it
 * @throws CtrlmeshError of the API client
 */
export async function ensureMeshAuthority(
  deps: MeshAuthorityDeps,
  signal: AbortSignal,
): Promise<MeshAuthority> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOrWrite(deps, signal);
    } catch (thrown) {
      const lost = thrown instanceof CtrlmeshError && thrown.code === "API_CONFLICT";
      if (!lost || attempt === attempts) throw thrown;
    }
  }
}

async function readOrWrite(deps: MeshAuthorityDeps, signal: AbortSignal): Promise<MeshAuthority> {
  const present = await readSecret(deps, wellKnown.caSecret, signal);
  const stored = present === undefined ? undefined : storedAuthorities(present);
  const next = await renewed(stored, deps);
  if (next !== stored) {
    await writeSecret(deps, { name: wellKnown.caSecret, present, texts: textsOf(next) }, signal);
    deps.log.info(stored === undefined ? "mesh CA made" : "mesh CA renewed", {
      notAfter: readCertificate(next.signing.certificatePem).notAfter.toISOString(),
    });
  }
  return { authority: next.signing, bundlePem: next.bundle.join("") };
}

interface Authorities {
  readonly signing: Authority;
  readonly next: Authority | undefined;
  /** PEM of each trusted certificate. */
  readonly bundle: readonly string[];
}

async function renewed(stored: Authorities | undefined, deps: MeshAuthorityDeps): Promise<Authorities> {
  const now = deps.clock.now();
  if (stored === undefined) return withBundle(await make(deps), undefined, [], now);
  const { signing, next, bundle } = stored;
  const { subject, notAfter } = readCertificate(signing.certificatePem);
  const daysLeft = (notAfter.getTime() - now) / dayMs;
  if (!subject.includes(ourName)) return brought(stored, daysLeft);
  if (!hasNameConstraints(signing.certificatePem, deps.permitted)) {
    deps.log.warn("mesh CA was made for other names: a new one signs from now on", {
      hint: "restart injected pods whose operator reports an unknown authority",
    });
    return withBundle(await make(deps), undefined, bundle, now);
  }
  if (daysLeft <= overlapDays) {
    const usable = next !== undefined && hasNameConstraints(next.certificatePem, deps.permitted);
    return withBundle(usable ? next : await make(deps), undefined, bundle, now);
  }
  if (daysLeft <= announceDays && next === undefined)
    return withBundle(signing, await make(deps), bundle, now);
  return stored;
}

/** An authority that users brought is theirs to renew. */
function brought(stored: Authorities, daysLeft: number): Authorities {
  if (daysLeft > 0) return stored;
  throw new CtrlmeshError("INVALID_CERTIFICATE", {
    where: `Secret ${wellKnown.caSecret}: ${keys.certificate}`,
    what: "the authority has expired",
    hint: "put a renewed one there, or delete the Secret, and a mesh CA is made",
  });
}

function withBundle(
  signing: Authority,
  next: Authority | undefined,
  previous: readonly string[],
  now: number,
): Authorities {
  const own = [signing.certificatePem, ...(next === undefined ? [] : [next.certificatePem])];
  const kept = previous.filter((pem) => readCertificate(pem).notAfter.getTime() > now);
  return { signing, next, bundle: [...new Set([...own, ...kept])] };
}

function make({ clock, permitted }: MeshAuthorityDeps): Promise<Authority> {
  const now = new Date(clock.now());
  // Names differ, so that no verifier takes one authority for the other.
  const commonName = `${ourName} ${now.toISOString()}`;
  return createAuthority({ commonName, days: lifeDays, permitted, now });
}

function storedAuthorities(secret: KubernetesObject): Authorities | undefined {
  const texts = textsOfSecret(secret);
  if (texts.size === 0) return undefined;
  const signing = authorityOf(secret, texts, [keys.certificate, keys.privateKey]);
  const next = texts.has(keys.nextCertificate)
    ? authorityOf(secret, texts, [keys.nextCertificate, keys.nextPrivateKey])
    : undefined;
  const bundle = certificatesOf(texts.get(keys.bundle) ?? signing.certificatePem);
  for (const pem of bundle) readCertificate(pem, place(secret, keys.bundle));
  return { signing, next, bundle };
}

function authorityOf(
  secret: KubernetesObject,
  texts: ReadonlyMap<string, string>,
  [certificateKey, privateKeyKey]: readonly [string, string],
): Authority {
  const certificatePem = texts.get(certificateKey) ?? "";
  const privateKeyPem = texts.get(privateKeyKey) ?? "";
  const { isAuthority } = readCertificate(certificatePem, place(secret, certificateKey));
  if (!isAuthority) {
    throw new CtrlmeshError("INVALID_CERTIFICATE", {
      where: place(secret, certificateKey),
      what: "the certificate is no authority's",
      hint: "delete the Secret, and a new mesh CA is made",
    });
  }
  if (!isKeyPairOf(certificatePem, certificatePem, privateKeyPem, place(secret, privateKeyKey))) {
    throw new CtrlmeshError("INVALID_KEY_FILE", {
      where: place(secret, privateKeyKey),
      what: `the key is not that of ${certificateKey}`,
      hint: "delete the Secret, and a new mesh CA is made",
    });
  }
  return { certificatePem, privateKeyPem };
}

function textsOf({ signing, next, bundle }: Authorities): Record<string, string> {
  return {
    [keys.certificate]: signing.certificatePem,
    [keys.privateKey]: signing.privateKeyPem,
    [keys.bundle]: bundle.join(""),
    ...(next === undefined
      ? {}
      : { [keys.nextCertificate]: next.certificatePem, [keys.nextPrivateKey]: next.privateKeyPem }),
  };
}

function place({ metadata }: KubernetesObject, key: string): string {
  return `Secret ${metadata?.namespace ?? ""}/${metadata?.name ?? ""}: ${key}`;
}

/** The PEM blocks of a bundle, each with its line end. */
export function certificatesOf(bundlePem: string): string[] {
  const blocks = bundlePem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block}\n`);
}
