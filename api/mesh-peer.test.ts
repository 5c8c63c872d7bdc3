import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { parseMeshPeer } from "./mesh-peer.ts";
import { badMeshPeers } from "./testdata/bad-states.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseMeshPeer", parseMeshPeer, badMeshPeers);

test("parseMeshPeer: the documented example with a placeholder key and a short instance is accepted", () => {
  const example = parse(`
apiVersion: dcp.hiro.io/v1
kind: MeshPeer
metadata: {name: example-peer}
spec:
  identity: {publicKey: ed25519-public-key-hex, endpoints: ["peer.example.com:9102"]}
status:
  status: Ready
  instance: {zone: us-west, start_time: "2024-01-01T00:00:00Z"}`);
  assert.deepEqual(parseMeshPeer(example), example);
});

test("parseMeshPeer: nulls that the original writes count as absent", () => {
  const { status } = parseMeshPeer({
    metadata: { name: "x" },
    spec: { identity: { publicKey: "00", endpoints: [] } },
    status: {
      status: "Unknown",
      updateTime: "2025-03-04T10:15:30Z",
      instance: null,
      conditions: [
        {
          type: "Unknown",
          status: "True",
          reason: null,
          message: null,
          lastTransitionTime: "2025-03-04T10:15:30Z",
        },
      ],
    },
  });
  assert.deepEqual(status, {
    status: "Unknown",
    updateTime: "2025-03-04T10:15:30Z",
    conditions: [{ type: "Unknown", status: "True", lastTransitionTime: "2025-03-04T10:15:30Z" }],
  });
});
