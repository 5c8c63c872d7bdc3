import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { protobufEnvelope, protobufMessage } from "#kube/wire/protobuf-envelope";
import { decodeEnvelope, ProtobufError } from "./protobuf.ts";

const configMap = "io.k8s.api.core.v1.ConfigMap";
const entry = (key: string, value: string) =>
  protobufMessage([
    [1, key],
    [2, value],
  ]);

test("protobuf: a ConfigMap as Go writes it is read, empty fields left out", () => {
  const metadata = protobufMessage([
    [1, "name"],
    [2, ""],
    [3, "space"],
    [11, entry("label", "value")],
  ]);
  const object = protobufMessage([
    [1, metadata],
    [2, entry("k", "v")],
    [2, entry("l", "w")],
    [4, 0],
  ]);
  assert.deepEqual(decodeEnvelope(Buffer.from(protobufEnvelope("v1", "ConfigMap", object)), configMap), {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "name", namespace: "space", labels: { label: "value" } },
    data: { k: "v", l: "w" },
    // A pointer in Go: that it is on the wire says that it was set.
    immutable: false,
  });
});

test("protobuf: times, int-or-strings and inlined messages take their JSON form", () => {
  const port = protobufMessage([
    [1, 1],
    [3, "http"],
  ]);
  const probe = protobufMessage([[1, protobufMessage([[2, protobufMessage([[2, port]])]])]]);
  const container = protobufMessage([
    [1, "c"],
    [10, probe],
  ]);
  const metadata = protobufMessage([[8, protobufMessage([[1, 1_700_000_000]])]]);
  const pod = protobufMessage([
    [1, metadata],
    [2, protobufMessage([[2, container]])],
  ]);
  assert.deepEqual(
    decodeEnvelope(Buffer.from(protobufEnvelope("v1", "Pod", pod)), "io.k8s.api.core.v1.Pod"),
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { creationTimestamp: "2023-11-14T22:13:20Z" },
      spec: { containers: [{ name: "c", livenessProbe: { httpGet: { port: "http" } } }] },
    },
  );
});

test("protobuf: a time that no calendar has, and bytes for a number, are refused", () => {
  const far = protobufMessage([[8, Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])]]);
  const bytes = protobufMessage([[8, protobufMessage([[1, "x"]])]]);
  for (const metadata of [far, bytes]) {
    const body = Buffer.from(protobufEnvelope("v1", "ConfigMap", protobufMessage([[1, metadata]])));
    assert.throws(() => decodeEnvelope(body, configMap), ProtobufError);
  }
});

test("protobuf: any bytes are read or refused with a ProtobufError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const body of [Buffer.from(bytes), Buffer.from(protobufEnvelope("v1", "ConfigMap", bytes))]) {
        try {
          decodeEnvelope(body, configMap);
        } catch (error) {
          assert.ok(error instanceof ProtobufError, String(error));
        }
      }
    }),
  );
});
