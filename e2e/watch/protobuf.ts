/** As much of protobuf as an independent reader of lists and watches needs (`k8s.io/apimachinery` generated.proto). */

/** Fields by number, in order: length-delimited ones as bytes, numbers as numbers. */
export type Fields = ReadonlyMap<number, readonly (Uint8Array | number)[]>;

/** @throws Error for bytes that are no message */
export function readFields(bytes: Uint8Array): Fields {
  const fields = new Map<number, (Uint8Array | number)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("a number ends behind the message");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    let value: Uint8Array | number;
    switch (tag % 8) {
      case 0:
        value = varint();
        break;
      case 2: {
        const length = varint();
        value = bytes.subarray(at, at + length);
        if (value.length < length) throw new Error("a field ends behind the message");
        at += length;
        break;
      }
      default:
        throw new Error(`wire type ${tag % 8} is not expected here`);
    }
    const number = Math.floor(tag / 8);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

export function messages(fields: Fields, number: number): Fields[] {
  return (fields.get(number) ?? []).map((value) =>
    readFields(typeof value === "number" ? new Uint8Array() : value),
  );
}

export function message(fields: Fields, number: number): Fields {
  return messages(fields, number)[0] ?? new Map();
}

export function textOf(fields: Fields, number: number): string {
  const value = fields.get(number)?.at(-1);
  return value === undefined || typeof value === "number" ? "" : Buffer.from(value).toString("utf8");
}

export function numberOf(fields: Fields, number: number): number {
  const value = fields.get(number)?.at(-1);
  return typeof value === "number" ? value : 0;
}

/** A map of texts. */
export function textMap(fields: Fields, number: number): Record<string, string> {
  return Object.fromEntries(messages(fields, number).map((entry) => [textOf(entry, 1), textOf(entry, 2)]));
}

/** Opens the envelope "k8s\0" + `runtime.Unknown`. */
export function openEnvelope(bytes: Uint8Array): { readonly kind: string; readonly object: Fields } {
  if (Buffer.from(bytes.subarray(0, 4)).toString("latin1") !== "k8s\0") throw new Error("no envelope");
  const unknown = readFields(bytes.subarray(4));
  return { kind: textOf(message(unknown, 1), 2), object: message(unknown, 2) };
}
