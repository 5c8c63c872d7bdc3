import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, requestOf } from "./raw-harness.ts";

const exec = "POST /api/v1/namespaces/a/pods/p/exec?command=sh";
const list = "GET /api/v1/configmaps";
const upgrade = ["Connection: Upgrade", "Upgrade: SPDY/3.1"];

test("D39: exec goes up with the caller's own credentials, or with none, and no identity is added", async () => {
  for (const credentials of [["Authorization: Bearer of-the-operator"], []]) {
    await using harness = await Harness.start();
    const client = await harness.dial();
    const request = requestOf(exec, ...upgrade, ...credentials);
    client.send(request);
    const upstream = await harness.upstream.accept();
    assert.equal(await upstream.takeHead(), request);
  }
});

test("D39: a rewritten list adds nothing but the selector, whoever asks", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf(list, "Impersonate-User: somebody"));
  const upstream = await harness.upstream.accept();
  const head = await upstream.takeHead();
  assert.equal(head.replace(/\?labelSelector=[^ ]*/, ""), requestOf(list, "Impersonate-User: somebody"));
});
