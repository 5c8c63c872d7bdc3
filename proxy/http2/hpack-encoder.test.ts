import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "./hpack-decoder.ts";
import { encodeFields } from "./hpack-encoder.ts";
import { HeaderField } from "./hpack-field.ts";

const hexOf = (...fields: HeaderField[]): string => encodeFields(fields).toString("hex");

test("encodeFields: static entries are one octet, static names an index, all else is a literal", () => {
  assert.equal(hexOf(new HeaderField(":method", "GET")), "82");
  assert.equal(hexOf(new HeaderField(":method", "PUT")), "0203505554");
  assert.equal(hexOf(new HeaderField("accept", "*")), "0f04012a");
  assert.equal(hexOf(new HeaderField("x", "yz")), "00017802797a");
  assert.equal(hexOf(new HeaderField(":status", "500")), "8e");
  assert.equal(hexOf(new HeaderField("accept-encoding", "gzip, deflate")), "90");
  assert.equal(hexOf(new HeaderField(":authority", "")), "81");
});

test("encodeFields: a field that must never be indexed stays one, also when the static table has it", () => {
  assert.equal(hexOf(new HeaderField("x", "y", true)), "1001780179");
  assert.equal(hexOf(new HeaderField(":method", "GET", true)), "1203474554");
});

test("encodeFields: lengths around the prefix of an integer", () => {
  for (const length of [0, 40, 41, 126, 127, 128, 254, 255, 16_510, 200_000]) {
    const value = "v".repeat(length);
    const block = encodeFields([new HeaderField("x", value), new HeaderField("x", "end")]);
    const decoder = new HpackDecoder({ maxTableSize: 0, maxListBytes: 1 << 20 });
    assert.deepEqual(
      decoder.decode(block, 0, block.length).fields.map((field) => field.value),
      [value, "end"],
    );
  }
});

test("encodeFields: the spelling of a repeated field is kept, of another one not", () => {
  const repeated = new HeaderField("x", "repeated");
  repeated.isRepeated = true;
  const once = new HeaderField("x", "once");
  const first = hexOf(repeated, once);
  assert.equal(hexOf(repeated, once), first);
  assert.equal(Buffer.from(repeated.encoded ?? []).toString("hex"), hexOf(repeated));
  assert.equal(once.encoded, undefined);
});

test("encodeFields: what is kept does not change when the next block is written over the shared buffer", () => {
  const repeated = new HeaderField("name", "value");
  repeated.isRepeated = true;
  const first = hexOf(repeated);
  hexOf(new HeaderField("other", "z".repeat(100)));
  assert.equal(hexOf(repeated), first);
});
