import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { encodeStatus, type KubernetesStatus, kubernetesStatus } from "./status.ts";

const throttled: KubernetesStatus = {
  code: 429,
  reason: "TooManyRequests",
  message: "m",
  details: { name: "n", group: "g", kind: "k", retryAfterSeconds: 300 },
};
const expired: KubernetesStatus = {
  code: 410,
  reason: "Expired",
  message: "too old version",
  details: undefined,
};

// What apimachinery 0.36 encodes for the same objects.
const json =
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"m","reason":"TooManyRequests","details":{"name":"n","group":"g","kind":"k","retryAfterSeconds":300},"code":429}\n';
const protobuf =
  "6b3873000a0c0a027631120653746174757312380a060a0012001a0012074661696c7572651a016d220f546f6f4d616e7952657175657374732a0e0a016e1201671a016b28ac02320030ad031a002200";
const cbor =
  "d9d9f7a844636f64651901ad446b696e644653746174757346726561736f6e4f546f6f4d616e79526571756573747346737461747573474661696c7572654764657461696c73a4446b696e64416b446e616d65416e4567726f7570416751726574727941667465725365636f6e647319012c476d657373616765416d486d65746164617461a04a61706956657273696f6e427631";

test("status: all three encodings are those of the API server, byte for byte", () => {
  assert.equal(Buffer.from(encodeStatus(throttled, "json")).toString(), json);
  assert.equal(Buffer.from(encodeStatus(throttled, "protobuf")).toString("hex"), protobuf);
  assert.equal(Buffer.from(encodeStatus(throttled, "cbor")).toString("hex"), cbor);
});

test("status: a foreign protobuf reader finds kind, message, reason and code of a long message", () => {
  const message = "\u00e9".repeat(20_000);
  const bytes = encodeStatus({ ...expired, message }, "protobuf");
  const unknown = fieldsOf(bytes.subarray(4));
  const typeMeta = fieldsOf(bytesAt(unknown, 1));
  assert.equal(Buffer.from(bytesAt(typeMeta, 2)).toString(), "Status");
  const status = fieldsOf(bytesAt(unknown, 2));
  assert.equal(Buffer.from(bytesAt(status, 3)).toString(), message);
  assert.equal(Buffer.from(bytesAt(status, 4)).toString(), "Expired");
  assert.equal(status.get(5), undefined);
  assert.equal(status.get(6), 410);
});

test("status: CBOR strings of every head length are framed by their UTF-8 bytes", () => {
  for (const length of [0, 23, 24, 255, 256, 65_535, 65_536]) {
    const bytes = Buffer.from(encodeStatus({ ...expired, message: "x".repeat(length) }, "cbor"));
    const at = bytes.indexOf("message") + "message".length;
    const head = bytes[at] ?? 0;
    const size = head & 0x1f;
    const [argument, behind] =
      size < 24 ? [size, at + 1] : [bytes.readUIntBE(at + 1, 1 << (size - 24)), at + 1 + (1 << (size - 24))];
    assert.equal(head >> 5, 2);
    assert.equal(argument, length);
    assert.equal(bytes[behind + length], 0x48, "the next key follows");
  }
});

test("status: one of our codes brings its reason and HTTP status, and stands in the message", () => {
  const status = kubernetesStatus("WRITE_FENCED", "not here", { name: "p", resource: "pods" });
  assert.deepEqual(status, {
    code: 403,
    reason: "Forbidden",
    message: "not here (WRITE_FENCED)",
    details: { name: "p", group: "", kind: "pods", retryAfterSeconds: undefined },
  });
  assert.equal(kubernetesStatus("NO_SNAPSHOT", "wait").details, undefined);
  assert.equal(
    kubernetesStatus("NO_SNAPSHOT", "wait", { retryAfterSeconds: 1 }).details?.retryAfterSeconds,
    1,
  );
  assert.equal(kubernetesStatus("INTERNAL", "x", { httpStatus: 502 }).code, 502);
});

function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array | number> {
  const fields = new Map<number, Uint8Array | number>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    fields.set(number, wireType === 0 ? reader.uint32() : reader.bytes());
  }
  return fields;
}

function bytesAt(fields: Map<number, Uint8Array | number>, number: number): Uint8Array {
  const value = fields.get(number);
  assert.ok(value instanceof Uint8Array, `field ${number} is there`);
  return value;
}
