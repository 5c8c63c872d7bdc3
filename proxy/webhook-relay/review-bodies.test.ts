import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { heldLimitBytes, ReviewBodies, reviewLimitBytes } from "./review-bodies.ts";

const bodyOf = (bytes: number) => Readable.from([Buffer.alloc(bytes)], { objectMode: false });

test("ReviewBodies: all that is held is bounded together, and let go with its lease", async () => {
  const bodies = new ReviewBodies();
  const leases = [];
  for (let held = 0; held < heldLimitBytes; held += reviewLimitBytes)
    leases.push(await bodies.read(bodyOf(reviewLimitBytes)));
  assert.ok(leases.every(({ body }) => body.kind === "read"));
  assert.equal(bodies.heldBytes, heldLimitBytes);
  const { body: refused } = await bodies.read(bodyOf(1));
  assert.equal(refused.kind, "overloaded");
  leases.pop()?.[Symbol.dispose]();
  const again = await bodies.read(bodyOf(1));
  assert.equal(again.body.kind, "read");
  for (const lease of [...leases, again]) lease[Symbol.dispose]();
  assert.equal(bodies.heldBytes, 0);
});

test("ReviewBodies: one body too large, or broken off, holds nothing", async () => {
  const bodies = new ReviewBodies();
  assert.equal((await bodies.read(bodyOf(reviewLimitBytes + 1))).body.kind, "too_large");
  assert.equal(bodies.heldBytes, 0);
  const broken = new PassThrough();
  broken.write("{");
  const reading = bodies.read(broken);
  broken.destroy(new Error("the client went away"));
  await assert.rejects(reading, /went away/);
  assert.equal(bodies.heldBytes, 0);
});
