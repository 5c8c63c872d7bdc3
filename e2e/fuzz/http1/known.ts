import { leniencies } from "./leniencies.ts";
import type { ReferenceName, Stream } from "./reading.ts";
import { strictnesses } from "./strictnesses.ts";

/** A reviewed difference in strictness between us and the references. */
export interface KnownDifference {
  readonly id: string;
  /** Matches the message of the one that refuses. */
  readonly refusal: RegExp;
  /** Why it stays. */
  readonly reason: string;
  /** Each is tested to show it, and only the kinds of streams and references named here are excused. */
  readonly examples: readonly Example[];
}

/** Stream and reference, and the bytes as Latin-1 text. Responses answer one GET. */
export type Example = readonly [kind: Stream["kind"], reference: ReferenceName, text: string];

function find(
  list: readonly KnownDifference[],
  [kind, reference]: readonly [Stream["kind"], ReferenceName],
  refusal: string,
): KnownDifference | undefined {
  return list.find(
    (entry) =>
      entry.refusal.test(refusal) &&
      entry.examples.some(([ofKind, of]) => ofKind === kind && of === reference),
  );
}

/** The reviewed reason for which we refuse what the reference takes. */
export function leniencyOf(
  kind: Stream["kind"],
  reference: ReferenceName,
  refusal: string,
): KnownDifference | undefined {
  return find(leniencies, [kind, reference], refusal);
}

/** The reviewed reason for which we take what the reference refuses. */
export function strictnessOf(
  kind: Stream["kind"],
  reference: ReferenceName,
  refusal: string,
): KnownDifference | undefined {
  return find(strictnesses, [kind, reference], refusal);
}

/**
 * Whether both take the bytes and read only the connection's life in another way. llhttp counts Proxy-Connection
 * as Connection. HTTP/1.0 with both close and keep-alive lives on for llhttp always, and for Go's server (not its
 * parser) when they stand in two lines; for us it ends (RFC 9112 section 9.3), and behind an end nothing goes
 * upstream any more, so no message moves.
 */
export function isKnownDisagreement(reference: ReferenceName, what: string, bytes: Buffer): boolean {
  if (!/closes is|it ends|not for us \(closed\)/.test(what)) return false;
  const text = bytes.toString("latin1").toLowerCase();
  if (reference === "llhttp" && text.includes("\nproxy-connection")) return true;
  const isGoParser = reference === "go" && what.includes("closes is");
  return !isGoParser && text.includes("http/1.0") && text.includes("close") && text.includes("keep-alive");
}
