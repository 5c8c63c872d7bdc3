import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ManagerMessage, ManagerMessageSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { Outbox } from "./outbox.ts";

function message(given: MessageInitShape<typeof ManagerMessageSchema>["message"] & object): ManagerMessage {
  return create(ManagerMessageSchema, { message: given });
}

const snapshot = (revision: bigint) => message({ case: "snapshot", value: { id: { term: 1n, revision } } });
const certificate = (certificateChainPem: string) =>
  message({ case: "certificate", value: { certificateChainPem } });

test("outbox: a reader that waits gets what is pushed, at once and in order", async () => {
  const outbox = new Outbox();
  const drained = outbox.drain();
  for (const pushed of [snapshot(1n), certificate("a"), snapshot(2n)]) {
    const next = drained.next();
    outbox.push(pushed);
    assert.equal((await next).value, pushed);
  }
});

test("outbox: while nobody reads, one message of each kind waits, the newest", async () => {
  const outbox = new Outbox();
  for (let revision = 1n; revision <= 1000n; revision += 1n) {
    outbox.push(snapshot(revision));
    outbox.push(certificate(String(revision)));
  }
  const drained = outbox.drain();
  const first = (await drained.next()).value;
  const second = (await drained.next()).value;
  assert.deepEqual([first, second], [snapshot(1000n), certificate("1000")]);
  const third = drained.next();
  outbox.push(snapshot(1001n));
  assert.deepEqual((await third).value, snapshot(1001n));
});

test("outbox: what is pushed while the reader is busy with a message goes out after it", async () => {
  const outbox = new Outbox();
  outbox.push(snapshot(1n));
  const drained = outbox.drain();
  await drained.next();
  outbox.push(snapshot(2n));
  outbox.push(snapshot(3n));
  assert.deepEqual((await drained.next()).value, snapshot(3n));
});

test("outbox: closing drops what waits and ends the reader, waiting or not", async () => {
  const busy = new Outbox();
  busy.push(snapshot(1n));
  busy.close();
  busy.push(snapshot(2n));
  assert.equal((await busy.drain().next()).done, true);
  const idle = new Outbox();
  const next = idle.drain().next();
  idle.close();
  assert.equal((await next).done, true);
});

test("outbox: the first reason to close counts", async () => {
  const outbox = new Outbox();
  outbox.push(snapshot(1n));
  outbox.close(new Error("first"));
  outbox.close(new Error("second"));
  outbox.close();
  await assert.rejects(outbox.drain().next(), { message: "first" });
});
