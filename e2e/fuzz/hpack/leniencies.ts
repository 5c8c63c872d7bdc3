/**
 * Where golang.org/x/net and our codec may differ, each with its reason: reviewed, and to be kept short. Anything
 * else is a bug.
 */
export interface Leniency {
  readonly of: "blocks" | "frames";
  /** Matches our reason when Go accepts what we refuse. */
  readonly weRefuse?: RegExp;
  /** Matches Go's reason when it refuses what we accept. */
  readonly goRefuses?: RegExp;
  readonly reason: string;
}

export const leniencies: readonly Leniency[] = [
  {
    of: "blocks",
    weRefuse: /an integer is too large/,
    reason:
      "Go takes integers of up to nine octets, so also small ones padded with zeroes (RFC 7541 section 5.1)",
  },
  {
    of: "blocks",
    weRefuse: /changes the dynamic table's size behind its first field/,
    reason: "Go takes a size update anywhere while the dynamic table is empty (RFC 7541 section 4.2)",
  },
  {
    of: "blocks",
    weRefuse: /does not begin with the size update|octets where \d+ are allowed/,
    reason:
      "Go's decoder does not ask for the size update that a lowered limit asks for (RFC 9113 section 4.3.1)",
  },
  {
    of: "blocks",
    goRefuses: /dynamic table size update MUST occur at the beginning/,
    reason:
      "Go takes a second size update only when the first has emptied the table (RFC 7541 section 4.2 allows two)",
  },
  {
    of: "frames",
    weRefuse: /PUSH_PROMISE/,
    reason:
      "who reads frames with us refuses PUSH_PROMISE: the API server pushes nothing (RFC 9113 section 8.4)",
  },
  {
    of: "frames",
    goRefuses: /^WINDOW_UPDATE: .*PROTOCOL_ERROR/,
    reason:
      "WINDOW_UPDATE of 0 is judged by whoever keeps the windows, which is the API server (RFC 9113 section 6.9)",
  },
  {
    of: "frames",
    goRefuses: /^PRIORITY_UPDATE: /,
    reason: "PRIORITY_UPDATE (RFC 9218) is a frame of an unknown type to us, which is never passed on",
  },
];
