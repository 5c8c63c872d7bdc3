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
 * Whether both take the bytes and read only the connection's life in another way, for a reason that we know:
 *
 * - llhttp counts Proxy-Connection as Connection.
 * - llhttp takes the HTAB of "chunked\t" for a part of the coding, and reads such a response until the end.
 * - llhttp lets keep-alive win over close in HTTP/1.0.
 * - Go's server reads the first Connection of HTTP/1.0 only, and finds "keep-alive" in it without looking for
 *   commas (its own parser, which we are compared with too, does look). Its answer says how it decided, and we
 *   follow that; where we end the connection nothing goes upstream any more. So no message moves.
 */
export function isKnownDisagreement(reference: ReferenceName, what: string, bytes: Buffer): boolean {
  const text = bytes.toString("latin1").toLowerCase();
  const isHttp10KeepAlive = text.includes("http/1.0") && text.includes("keep-alive");
  if (reference === "go") {
    return (
      isHttp10KeepAlive &&
      /it ends closed for us|not for us \(closed\)|not for the reference \(clean\)/.test(what)
    );
  }
  if (!/closes is|it ends/.test(what)) return false;
  return (
    text.includes("\nproxy-connection") ||
    text.includes("chunked\t") ||
    (isHttp10KeepAlive && text.includes("close"))
  );
}
