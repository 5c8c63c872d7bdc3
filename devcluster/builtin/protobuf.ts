import { readFileSync } from "node:fs";
import { arrayOf, isObject, type JsonObject, numberOf, setField, stringOf } from "../json.ts";

/**
 * Bodies in Kubernetes' protobuf encoding, which typed Go clients (also `kubectl create`) send without asking
 * first, read by the field numbers in `protobuf.json`. Answers are never in protobuf: every client that sends it
 * also accepts JSON.
 */

interface Field {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly isMap: boolean;
  /** A pointer in Go: a zero value was set, it is not just absent. */
  readonly keepsZero: boolean;
  /** The message's fields are the parent's. */
  readonly isInline: boolean;
}

let messages: ReadonlyMap<string, ReadonlyMap<number, Field>> | undefined;

/** Read once: the file never changes. */
function messageFields(name: string): ReadonlyMap<number, Field> | undefined {
  messages ??= readMessages();
  return messages.get(name);
}

function readMessages(): Map<string, Map<number, Field>> {
  const parsed: unknown = JSON.parse(readFileSync(new URL("protobuf.json", import.meta.url), "utf8"));
  const result = new Map<string, Map<number, Field>>();
  for (const [message, rows] of Object.entries(isObject(parsed) ? parsed : {})) {
    const fields = arrayOf(rows).map((row): [number, Field] => {
      const [number, name, type, flags] = arrayOf(row);
      const has = (flag: string): boolean => stringOf(flags).includes(flag);
      return [
        numberOf(number),
        {
          name: stringOf(name),
          type: stringOf(type),
          isList: has("r"),
          isMap: has("m"),
          keepsZero: has("p"),
          isInline: has("i"),
        },
      ];
    });
    result.set(message, new Map(fields));
  }
  return result;
}

/** Thrown for bytes that are no message of the kind. */
export class ProtobufError extends Error {
  override readonly name = "ProtobufError";
}

/** Whether bodies of this schema can be read. */
export function hasProtobuf(schemaName: string): boolean {
  return messageFields(schemaName) !== undefined;
}

const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/**
 * The object in an envelope (`k8s\0` and a runtime.Unknown) as JSON.
 *
 * @param schemaName OpenAPI name of the kind that the envelope should hold
 * @throws ProtobufError
 */
export function decodeEnvelope(bytes: Buffer, schemaName: string): JsonObject {
  if (!bytes.subarray(0, 4).equals(magic)) throw new ProtobufError("the body does not start with k8s\\0");
  const result: JsonObject = {};
  let raw: Buffer = Buffer.alloc(0);
  for (const [number, value] of readFields(bytes.subarray(4))) {
    if (number === 2 && Buffer.isBuffer(value)) raw = value;
    if (number !== 1 || !Buffer.isBuffer(value)) continue;
    for (const [part, text] of readFields(value))
      if (Buffer.isBuffer(text)) result[part === 1 ? "apiVersion" : "kind"] = text.toString();
  }
  // Options of a deletion are sent where the kind is another one.
  const name = result.kind === "DeleteOptions" ? deleteOptions : schemaName;
  return { ...result, ...decodeMessage(name, raw) };
}

const deleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

function decodeMessage(name: string, bytes: Buffer): JsonObject {
  const fields = messageFields(name);
  if (fields === undefined) throw new ProtobufError(`${name} is not known`);
  const result: JsonObject = {};
  for (const [number, raw] of readFields(bytes)) {
    const field = fields.get(number);
    if (field === undefined) continue;
    if (field.isMap) putEntry(result, field, raw);
    else {
      const value = fieldValue(field, raw);
      if (field.isInline && isObject(value)) Object.assign(result, value);
      else if (field.isList) result[field.name] = [...arrayOf(result[field.name]), value];
      else if (field.keepsZero || !isZero(value)) result[field.name] = value;
    }
  }
  return result;
}

function putEntry(result: JsonObject, field: Field, raw: Buffer | bigint): void {
  if (!Buffer.isBuffer(raw)) throw new ProtobufError(`${field.name} is no map`);
  let key = "";
  let value: unknown = field.type === "string" || field.type === "bytes" ? "" : {};
  for (const [number, part] of readFields(raw)) {
    if (number === 1) key = part.toString();
    else value = fieldValue(field, part);
  }
  const map = isObject(result[field.name]) ? result[field.name] : {};
  if (isObject(map)) setField(map, key, value);
  result[field.name] = map;
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  return isObject(value) && Object.keys(value).length === 0;
}

function fieldValue({ type, name }: Field, raw: Buffer | bigint): unknown {
  if (typeof raw === "bigint") {
    if (type === "bool") return raw !== 0n;
    if (type === "int32" || type === "int64") return Number(BigInt.asIntN(64, raw));
    throw new ProtobufError(`${name} is no ${type}`);
  }
  if (type === "string") return raw.toString();
  if (type === "bytes") return raw.toString("base64");
  const special = specials[type];
  return special === undefined ? decodeMessage(type, raw) : special(raw);
}

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1";

/** Messages that are something else than an object in JSON. */
const specials: Readonly<Record<string, (raw: Buffer) => unknown>> = {
  [`${meta}.Time`]: (raw) => time(raw, false),
  [`${meta}.MicroTime`]: (raw) => time(raw, true),
  [`${meta}.FieldsV1`]: rawJson,
  [`${meta}.Verbs`]: texts,
  "io.k8s.apimachinery.pkg.runtime.RawExtension": rawJson,
  "io.k8s.api.authentication.v1.ExtraValue": texts,
  "io.k8s.api.authorization.v1.ExtraValue": texts,
  "io.k8s.apimachinery.pkg.api.resource.Quantity": (raw) => texts(raw)[0] ?? "0",
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": (raw) => {
    const parts = new Map(readFields(raw));
    return integerAt(parts, 1) === 1 ? (parts.get(3) ?? "").toString() : integerAt(parts, 2);
  },
};

function integerAt(parts: ReadonlyMap<number, Buffer | bigint>, number: number): number {
  const value = parts.get(number) ?? 0n;
  if (typeof value !== "bigint") throw new ProtobufError("bytes stand where a number belongs");
  return Number(BigInt.asIntN(64, value));
}

/** Years that RFC 3339 can write. */
const timeRangeSeconds = [-62_135_596_800, 253_402_300_799] as const;

function time(raw: Buffer, isMicro: boolean): string | undefined {
  const parts = new Map(readFields(raw));
  const seconds = integerAt(parts, 1);
  const [first, last] = timeRangeSeconds;
  if (seconds < first || seconds > last) throw new ProtobufError("a time is out of range");
  // The zero time of Go is absent in JSON.
  if (parts.size === 0 || seconds === first) return undefined;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  const micros = Math.floor(integerAt(parts, 2) / 1000);
  return isMicro ? `${text}.${String(micros).padStart(6, "0")}Z` : `${text}Z`;
}

function rawJson(raw: Buffer): unknown {
  const [, text] = readFields(raw).find(([number]) => number === 1) ?? [1, Buffer.from("{}")];
  try {
    return JSON.parse(text.toString());
  } catch (cause) {
    throw new ProtobufError("an embedded object is no JSON", { cause });
  }
}

function texts(raw: Buffer): string[] {
  return readFields(raw).map(([, value]) => value.toString());
}

/** The fields of a message as they stand on the wire: bytes, or a number. */
function readFields(bytes: Buffer): [number: number, value: Buffer | bigint][] {
  const fields: [number, Buffer | bigint][] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new ProtobufError("the message ends inside a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new ProtobufError("a number is too long");
  };
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new ProtobufError("the message ends inside a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) fields.push([number, varint()]);
    else if (wireType === 2) fields.push([number, take(Number(varint()))]);
    else if (wireType === 1) fields.push([number, take(8)]);
    else if (wireType === 5) fields.push([number, take(4)]);
    else throw new ProtobufError(`wire type ${wireType} is not known`);
  }
  return fields;
}
