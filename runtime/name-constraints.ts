import { isIPv4 } from "node:net";
import { CtrlmeshError } from "#api/errors";

/** Names that an authority may sign. A form with no entry is closed: nothing of it may be signed. */
export interface NameConstraints {
  /** A name permits itself and all names below it. */
  readonly dnsNames: readonly string[];
  /** CIDR: "127.0.0.0/8", "::1/128". */
  readonly ipRanges: readonly string[];
}

const dnsNameTag = 0x82;
const ipAddressTag = 0x87;

/**
 * The critical extension NameConstraints in DER (RFC 5280 4.2.1.10). A constraint on one form leaves the
 * other forms free, so an empty list becomes the exclusion of every name of its form. Form order and list
 * order are kept: equal input gives equal bytes.
 *
 * @throws INVALID_CERTIFICATE for a range that is no CIDR
 */
export function nameConstraintsExtension({ dnsNames, ipRanges }: NameConstraints): {
  readonly type: string;
  readonly critical: boolean;
  readonly value: Uint8Array<ArrayBuffer>;
} {
  const permitted = [
    ...dnsNames.map((name) => subtree(dnsNameTag, Buffer.from(name, "ascii"))),
    ...ipRanges.map((range) => subtree(ipAddressTag, addressAndMask(range))),
  ];
  const excluded = [
    ...(dnsNames.length === 0 ? [subtree(dnsNameTag, Buffer.alloc(0))] : []),
    ...(ipRanges.length === 0
      ? [subtree(ipAddressTag, Buffer.alloc(8)), subtree(ipAddressTag, Buffer.alloc(32))]
      : []),
  ];
  const lists = [
    ...(permitted.length === 0 ? [] : [tlv(0xa0, Buffer.concat(permitted))]),
    ...(excluded.length === 0 ? [] : [tlv(0xa1, Buffer.concat(excluded))]),
  ];
  return { type: "2.5.29.30", critical: true, value: new Uint8Array(tlv(0x30, Buffer.concat(lists))) };
}

function subtree(tag: number, base: Buffer): Buffer {
  return tlv(0x30, tlv(tag, base));
}

/** Tag, length, value. Lengths of up to 65535 bytes. */
function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}

function addressAndMask(range: string): Buffer {
  const [text = "", prefix = "", ...more] = range.split("/");
  const address = addressBytes(text);
  const bits = Number(prefix);
  if (address === undefined || more.length > 0 || !/^[0-9]{1,3}$/.test(prefix) || bits > address.length * 8) {
    throw new CtrlmeshError("INVALID_CERTIFICATE", {
      what: `"${range}" is no CIDR`,
      where: "name constraints",
    });
  }
  const mask = Buffer.from(
    Array.from(address, (_, index) => (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff),
  );
  return Buffer.concat([address.map((byte, index) => byte & (mask[index] ?? 0)), mask]);
}

/** Network order bytes of an address, undefined when it is none. */
function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!URL.canParse(`http://[${text}]/`)) return undefined;
  const [head = "", tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split("::");
  const groups = (part: string) =>
    part
      .split(":")
      .filter(Boolean)
      .map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = groups(tail ?? "");
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
