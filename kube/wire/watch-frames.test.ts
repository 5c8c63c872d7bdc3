import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Encoding } from "./media-type.ts";
import type { KubernetesStatus } from "./status.ts";
import { encodeWatchError, WatchFrames } from "./watch-frames.ts";

const expired: KubernetesStatus = { code: 410, reason: "Expired", message: "too old", details: undefined };

// What apimachinery 0.36 frames for the same event; message "too old <resource> version".
const goMessage = "too old <resource> version";
const goFrames: Readonly<Record<"protobuf" | "cbor", string>> = {
  protobuf:
    "0000005c0a054552524f5212530a516b3873000a0c0a027631120653746174757312390a060a0012001a0012074661696c7572651a1a746f6f206f6c64203c7265736f757263653e2076657273696f6e220745787069726564309a031a002200",
  cbor: "d9d9f7a24474797065454552524f52466f626a656374d9d9f7a744636f646519019a446b696e644653746174757346726561736f6e474578706972656446737461747573474661696c757265476d657373616765581a746f6f206f6c64203c7265736f757263653e2076657273696f6e486d65746164617461a04a61706956657273696f6e427631",
};

test("watch frames: an error event is framed as the API server frames it", () => {
  const status = { ...expired, message: goMessage };
  assert.equal(Buffer.from(encodeWatchError(status, "protobuf")).toString("hex"), goFrames.protobuf);
  assert.equal(Buffer.from(encodeWatchError(status, "cbor")).toString("hex"), goFrames.cbor);
  const json = Buffer.from(encodeWatchError(expired, "json")).toString();
  assert.equal(
    json,
    '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}\n',
  );
});

/** An event of each encoding with a body of some size. */
function event(encoding: Encoding, size: number): Buffer {
  const status = { ...expired, message: "\u00e9\\n\n".repeat(size) };
  return Buffer.from(encodeWatchError(status, encoding));
}

for (const encoding of ["json", "protobuf", "cbor"] as const) {
  test(`watch frames: any split of ${encoding} events has its boundaries where the events end (property)`, () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 1, max: 300 })), (bodies, steps) => {
        const events = bodies.map((size) => event(encoding, size));
        const ends = new Set([0]);
        let length = 0;
        for (const bytes of events) {
          length += bytes.length;
          ends.add(length);
        }
        const stream = Buffer.concat([Buffer.alloc(3), ...events]);
        const frames = new WatchFrames(encoding);
        let at = 0;
        for (const step of [...steps, length]) {
          assert.equal(frames.atBoundary, ends.has(at), `at ${at} of ${length}`);
          const next = Math.min(length, at + step);
          frames.push(stream, at + 3, next + 3);
          at = next;
        }
        assert.equal(frames.atBoundary, true);
      }),
    );
  });

  test(`watch frames: byte by byte, ${encoding} is at a boundary only between events`, () => {
    const bytes = Buffer.concat([event(encoding, 0), event(encoding, 90)]);
    const first = event(encoding, 0).length;
    const frames = new WatchFrames(encoding);
    for (let at = 0; at < bytes.length; at++) {
      assert.equal(frames.atBoundary, at === 0 || at === first, `at ${at}`);
      frames.push(bytes, at, at + 1);
    }
    assert.equal(frames.atBoundary, true);
  });
}

test("watch frames: an empty push changes nothing", () => {
  const frames = new WatchFrames("json");
  frames.push(Buffer.from("{"), 0, 0);
  assert.equal(frames.atBoundary, true);
});

const cborItems: readonly (readonly [name: string, hex: string])[] = [
  ["an unsigned integer", "17"],
  ["a 64 bit integer", "1b0000000000000001"],
  ["a negative integer", "3903e7"],
  ["an empty string", "60"],
  ["an empty array", "80"],
  ["an empty map", "a0"],
  ["a half float", "f93c00"],
  ["a double", "fb3ff0000000000000"],
  ["null", "f6"],
  ["a tagged tagged string", "c1d9d9f76161"],
  ["an array of arrays", "8281018180"],
  ["a map with nested maps", "a26161a1616201616280"],
  ["an indefinite byte string", "5f42010243030405ff"],
  ["an indefinite array", "9f018202039f0405ffff"],
  ["an indefinite map", "bf6161019fff02ff"],
];

for (const [name, hex] of cborItems) {
  test(`watch frames: ${name} in CBOR ends with its last byte`, () => {
    const bytes = Buffer.from(hex, "hex");
    const frames = new WatchFrames("cbor");
    for (let at = 0; at < bytes.length; at++) {
      assert.equal(frames.atBoundary, at === 0, `at ${at}`);
      frames.push(bytes, at, at + 1);
    }
    assert.equal(frames.atBoundary, true);
  });
}

for (const [name, hex] of [
  ["a break outside a container", "ff"],
  ["a break in a definite array", "8201ff"],
  ["a reserved length", "1c"],
  ["an indefinite integer", "1f"],
  ["nesting without end", "81".repeat(300)],
] as const) {
  test(`watch frames: behind ${name} no boundary comes any more`, () => {
    const frames = new WatchFrames("cbor");
    const bytes = Buffer.from(`${hex}01`, "hex");
    frames.push(bytes, 0, bytes.length);
    assert.equal(frames.atBoundary, false);
    frames.push(Buffer.from("a0", "hex"), 0, 1);
    assert.equal(frames.atBoundary, false);
  });
}
