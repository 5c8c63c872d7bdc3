import { X509Certificate } from "node:crypto";
import { toCtrlmeshError } from "#api/errors";
import { wellKnown } from "#api/names";
import { readCertificate } from "#runtime/x509";
import { kinds } from "../kinds.ts";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";
import { readMeshCa, secretText } from "./mesh-ca.ts";
import { readIfThere } from "./read.ts";

const dayMs = 86_400_000;

/** Mesh CA and the webhooks' serving certificate: there, fitting together, and how long they last. */
export const certificatesCheck: Check = {
  name: "certificates",
  phases: ["after"],
  run: async (context) => {
    const { client, settings, signal } = context;
    const { namespace } = settings;
    const nowMs = context.serverNowMs ?? Date.now();
    const authorities = await readMeshCa(context);
    const caPlace = `Secret ${namespace}/${wellKnown.caSecret}`;
    const servingPlace = `Secret ${namespace}/${wellKnown.webhookCertificateSecret}`;
    const name = { namespace, name: wellKnown.webhookCertificateSecret };
    const secret = await readIfThere(client, kinds.secrets, name, { signal });
    const serving = secretText(secret?.data, "tls.crt");
    const findings = [
      ...(authorities.length === 0 ? [missing(caPlace)] : judgeLife(authorities, caPlace, nowMs)),
      ...(serving === undefined
        ? [missing(servingPlace)]
        : [...judgeLife([serving], servingPlace, nowMs), ...judgeIssuer(serving, authorities, servingPlace)]),
    ];
    const days = [
      ["CA", authorities[0]],
      ["webhooks", serving],
    ].flatMap(([what, pem]) => (pem === undefined ? [] : [`${what} ${daysLeft(pem, nowMs)} days`]));
    return { summary: `left: ${days.join(", ") || "none"}`, findings };
  },
};

/**
 * Whether certificates still count. The manager renews after a third of their life, so little that is left means
 * that something keeps it from doing so. Of several authorities the one that lasts longest counts.
 */
export function judgeLife(pems: readonly string[], where: string, nowMs: number): Finding[] {
  try {
    const facts = pems.map((pem) => readCertificate(pem, where));
    const [last] = [...facts].sort((a, b) => b.notAfter.getTime() - a.notAfter.getTime());
    if (last === undefined) return [missing(where)];
    const leftMs = last.notAfter.getTime() - nowMs;
    const when = last.notAfter.toISOString();
    if (leftMs <= 0) {
      const what = `it has expired on ${when}`;
      return [{ level: "error", code: "CertificateExpired", where, what, remedy: renewal }];
    }
    if (last.notBefore.getTime() > nowMs) {
      const what = `it is not valid before ${last.notBefore.toISOString()}`;
      return [{ level: "error", code: "CertificateExpired", where, what, remedy: renewal }];
    }
    if (leftMs < (last.notAfter.getTime() - last.notBefore.getTime()) / 10) {
      const what = `it ends on ${when} and should have been renewed long before`;
      return [{ level: "warning", code: "CertificateExpiring", where, what, remedy: renewal }];
    }
    return [];
  } catch (thrown) {
    const what = `it can't be read: ${toCtrlmeshError(thrown).message}`;
    return [{ level: "error", code: "CertificateMissing", where, what, remedy: renewal }];
  }
}

const renewal =
  "the manager renews it within a minute: the log of the replica that leads says why it does not";

function missing(where: string): Finding {
  return {
    level: "error",
    code: "CertificateMissing",
    where,
    what: "there is no certificate",
    remedy: "start the manager, which makes it",
  };
}

function judgeIssuer(serving: string, authorities: readonly string[], where: string): Finding[] {
  if (authorities.length === 0 || authorities.some((pem) => isIssuedBy(serving, pem))) return [];
  return [
    {
      level: "error",
      code: "WebhookCaWrong",
      where,
      what: "no authority of the mesh CA has signed it, so the API server refuses the webhooks",
      remedy: `delete the Secret: the manager makes another one within a minute`,
    },
  ];
}

function isIssuedBy(certificatePem: string, authorityPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).verify(new X509Certificate(authorityPem).publicKey);
  } catch {
    return false; // what can't be read has its own finding
  }
}

function daysLeft(pem: string, nowMs: number): string {
  try {
    return String(Math.floor((readCertificate(pem).notAfter.getTime() - nowMs) / dayMs));
  } catch {
    return "unknown";
  }
}
