/**
 * The little of protobuf that our own answers need: a writer for strings, numbers and nested messages, and the
 * envelope in which Kubernetes puts every object (apimachinery `runtime.Unknown` behind the magic "k8s\0").
 */

/** One field as it stands on the wire. */
export type ProtobufField = readonly [number: number, value: string | number | Uint8Array];

const magic = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);
const utf8 = new TextEncoder();

/**
 * Encodes a message. Zero and empty values are written too: the generated code of Kubernetes does the same,
 * so that both give equal bytes. Numbers are unsigned integers below 2^31.
 */
export function protobufMessage(fields: readonly ProtobufField[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (typeof value === "number") parts.push(Uint8Array.of(...varint(number << 3), ...varint(value)));
    else {
      const bytes = typeof value === "string" ? utf8.encode(value) : value;
      parts.push(Uint8Array.of(...varint((number << 3) | 2), ...varint(bytes.length)), bytes);
    }
  }
  return Buffer.concat(parts);
}

/** Puts an encoded object into the envelope. */
export function protobufEnvelope(apiVersion: string, kind: string, object: Uint8Array): Uint8Array {
  const typeMeta = protobufMessage([
    [1, apiVersion],
    [2, kind],
  ]);
  const unknown = protobufMessage([
    [1, typeMeta],
    [2, object],
    [3, ""],
    [4, ""],
  ]);
  return Buffer.concat([magic, unknown]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}
