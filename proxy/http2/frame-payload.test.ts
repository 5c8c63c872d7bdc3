import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode, Flag, Setting } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { dataRange, headerBlockFragmentRange, readSettings } from "./frame-payload.ts";

const { PADDED, PRIORITY } = Flag;

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Http2ConnectionError, String(error));
    return error.errorCode;
  }
  return undefined;
}

test("headerBlockFragmentRange: padding and priority are outside of the block", () => {
  const bytes = Buffer.from([0xee, 2, 0, 0, 0, 3, 15, 0x82, 0x84, 0, 0, 0xee]);
  assert.deepEqual(headerBlockFragmentRange(PADDED | PRIORITY, bytes, 1, 11), {
    start: 7,
    end: 9,
    priority: Buffer.from([0, 0, 0, 3, 15]),
  });
  assert.deepEqual(headerBlockFragmentRange(0, bytes, 1, 11), { start: 1, end: 11, priority: undefined });
});

test("headerBlockFragmentRange: what does not fit is refused, with the code of RFC 9113", () => {
  const padded = (...octets: number[]) => headerBlockFragmentRange(PADDED, Buffer.from(octets));
  assert.equal(
    codeOf(() => padded()),
    ErrorCode.FRAME_SIZE_ERROR,
  );
  assert.equal(
    codeOf(() => padded(1)),
    ErrorCode.PROTOCOL_ERROR,
  );
  assert.equal(
    codeOf(() => padded(3, 1, 2)),
    ErrorCode.PROTOCOL_ERROR,
  );
  assert.equal(
    codeOf(() => padded(2, 1, 2)),
    undefined,
  );
  const both = (...octets: number[]) => headerBlockFragmentRange(PADDED | PRIORITY, Buffer.from(octets));
  assert.equal(
    codeOf(() => both(0, 1, 2, 3, 4)),
    ErrorCode.FRAME_SIZE_ERROR,
  );
  assert.equal(
    codeOf(() => both(0, 1, 2, 3, 4, 5)),
    undefined,
  );
  assert.equal(
    codeOf(() => both(1, 1, 2, 3, 4, 5)),
    ErrorCode.PROTOCOL_ERROR,
  );
});

test("dataRange: the content is between the length of the padding and the padding", () => {
  const bytes = Buffer.from([1, 65, 66, 0]);
  assert.deepEqual(dataRange(PADDED, bytes), { start: 1, end: 3 });
  assert.deepEqual(dataRange(0, bytes), { start: 0, end: 4 });
  assert.equal(
    codeOf(() => dataRange(PADDED, bytes, 1, 4)),
    ErrorCode.PROTOCOL_ERROR,
  );
});

test("readSettings: entries in order, and values out of range refused", () => {
  const bytes = Buffer.from("ee000100000000000300000064", "hex");
  assert.deepEqual(readSettings(bytes, 1), [
    [Setting.HEADER_TABLE_SIZE, 0],
    [Setting.MAX_CONCURRENT_STREAMS, 100],
  ]);
  const one = (hex: string) => codeOf(() => readSettings(Buffer.from(hex, "hex")));
  assert.equal(one("000200000002"), ErrorCode.PROTOCOL_ERROR);
  assert.equal(one("000800000002"), ErrorCode.PROTOCOL_ERROR);
  assert.equal(one("000480000000"), ErrorCode.FLOW_CONTROL_ERROR);
  assert.equal(one("000500003fff"), ErrorCode.PROTOCOL_ERROR);
  assert.equal(one("000501000000"), ErrorCode.PROTOCOL_ERROR);
  assert.equal(one("000500ffffff"), undefined);
  assert.equal(one("00ffffffffff"), undefined);
});
