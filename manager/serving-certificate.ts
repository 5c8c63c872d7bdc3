import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { wellKnown } from "#api/names";
import { isKeyPairOf, issueCertificate, readCertificate } from "#runtime/x509";
import { certificatesOf, type MeshAuthority, type MeshAuthorityDeps } from "./ca.ts";
import type { Names } from "./certificate-names.ts";
import { readSecret, writeSecret } from "./secret-store.ts";
import { textsOfSecret } from "./secret-texts.ts";

export interface ServingCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

const lifeDays = 90;
const keys = { certificate: "tls.crt", privateKey: "tls.key", authority: "ca.crt" } as const;
const attempts = 5;

/** A fresh serving certificate of the manager, 90 days. */
export async function issueServingCertificate(
  mesh: MeshAuthority,
  names: Names,
  nowMs: number,
): Promise<ServingCertificate> {
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(mesh.authority, {
    commonName: names.dnsNames[0] ?? names.ipAddresses[0] ?? "",
    ...names,
    days: lifeDays,
    usage: "server",
    now: new Date(nowMs),
  });
  return { certificatePem, privateKeyPem };
}

/**
 * Whether a serving certificate still does: key and certificate fit, an authority that is trusted signed it,
 * it has the names, and less than a third of its life is over, so that a renewal that fails for weeks harms
 * nobody.
 */
export function isFresh(
  serving: ServingCertificate,
  mesh: MeshAuthority,
  names: Names,
  nowMs: number,
): boolean {
  try {
    const { certificatePem, privateKeyPem } = serving;
    const facts = readCertificate(certificatePem);
    const third = (facts.notAfter.getTime() - facts.notBefore.getTime()) / 3;
    return (
      nowMs < facts.notBefore.getTime() + third &&
      names.dnsNames.every((name) => facts.dnsNames.includes(name)) &&
      names.ipAddresses.every((address) => facts.ipAddresses.includes(address)) &&
      certificatesOf(mesh.bundlePem).some((pem) => isKeyPairOf(pem, certificatePem, privateKeyPem))
    );
  } catch {
    // Whatever can't be read is made anew: nothing of it is needed.
    return false;
  }
}

/**
 * The webhooks' serving certificate, one for all replicas, in the Secret `ctrlmesh-webhook-certs`: keys stay
 * there and in memory.
 *
 * @throws CtrlmeshError of the API client
 */
export async function ensureWebhookCertificate(
  deps: Pick<MeshAuthorityDeps, "client" | "clock" | "log" | "namespace">,
  mesh: MeshAuthority,
  names: Names,
  signal: AbortSignal,
): Promise<ServingCertificate> {
  const name = wellKnown.webhookCertificateSecret;
  for (let attempt = 1; ; attempt++) {
    const present = await readSecret(deps, name, signal);
    const stored = storedCertificate(present);
    if (isFresh(stored, mesh, names, deps.clock.now())) return stored;
    const serving = await issueServingCertificate(mesh, names, deps.clock.now());
    const texts = {
      [keys.certificate]: serving.certificatePem,
      [keys.privateKey]: serving.privateKeyPem,
      [keys.authority]: mesh.bundlePem,
    };
    try {
      await writeSecret(deps, { name, present, texts }, signal);
      deps.log.info("webhook certificate issued", { reason: present === undefined ? "none yet" : "renewal" });
      return serving;
    } catch (thrown) {
      const lost = thrown instanceof CtrlmeshError && thrown.code === "API_CONFLICT";
      if (!lost || attempt === attempts) throw thrown;
    }
  }
}

function storedCertificate(secret: KubernetesObject | undefined): ServingCertificate {
  const texts = secret === undefined ? new Map<string, string>() : textsOfSecret(secret);
  return {
    certificatePem: texts.get(keys.certificate) ?? "",
    privateKeyPem: texts.get(keys.privateKey) ?? "",
  };
}
