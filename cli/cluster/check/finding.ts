/**
 * What `ctrlmesh check` can find. A code is stable; `docs/troubleshooting.md` has one section per code, and a test
 * holds both lists to each other.
 */
export const findingCodes = [
  "ApiServerTooOld",
  "ApiServerLimited",
  "InstallRightsMissing",
  "CrdMissing",
  "CrdOutdated",
  "ManagerRightsMissing",
  "ManagerDown",
  "ClockSkew",
  "CertificateMissing",
  "CertificateExpired",
  "CertificateExpiring",
  "WebhookMissing",
  "WebhookDown",
  "WebhookCaWrong",
  "PolicyMissing",
  "PolicyUnbound",
  "BundleMissing",
  "BundleStale",
  "UnlabelledObjects",
  "VersionSkew",
  "ConfigUnreadable",
  "ShardsOverlap",
  "ShardsGap",
  "ShardNotReady",
  "LedgerCorrupt",
  "UninjectedPods",
  "LeaseForbidden",
  "NotChecked",
] as const;
export type FindingCode = (typeof findingCodes)[number];

/** error: something does not work, or is not safe. warning: it will, or might. info: good to know. */
export type Level = "error" | "warning" | "info";

export interface Finding {
  readonly level: Level;
  readonly code: FindingCode;
  /** Object, namespace or server. */
  readonly where: string;
  readonly what: string;
  /** What to do, as a command where there is one. */
  readonly remedy: string;
}

/** Where a code is explained. */
export function docsOf(code: FindingCode): string {
  return `docs/troubleshooting.md#${code.toLowerCase()}`;
}

/** What one check says. */
export interface CheckOutcome {
  /** One line about what was looked at, for people. */
  readonly summary: string;
  readonly findings: readonly Finding[];
}
