import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { CtrlmeshError } from "#api/errors";
import {
  HelloSchema,
  type ManagerMessage,
  ReportSchema,
  SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { FakeClock } from "#runtime/fake-clock";
import type { PodIdentity } from "./authenticate.ts";
import { Outbox } from "./outbox.ts";
import { Proxies, type SnapshotNumber } from "./proxies.ts";

const hello = create(HelloSchema, { proxyVersion: "1.2.3" });
const refusal = { code: "SNAPSHOT_INVALID", reason: "no selector" };

function podOf(name: string): PodIdentity {
  return { namespace: "ops", name, uid: `uid-${name}`, podIp: "10.0.0.7", shard: "a" };
}

/** One open stream and what goes out on it. */
class TestStream {
  readonly pod: PodIdentity;
  readonly outbox = new Outbox();
  readonly #drained = this.outbox.drain();
  readonly #proxies: Proxies;

  constructor(proxies: Proxies, pod = podOf("op-0"), highestTerm = 0n) {
    this.pod = pod;
    this.#proxies = proxies;
    proxies.opened(pod, { ...hello, highestTerm }, this.outbox);
  }

  offer(contentKey: string, term = 1n): boolean {
    const snapshot = create(SnapshotSchema, { shard: "a", grantReason: contentKey });
    return this.#proxies.offer(this.pod.uid, snapshot, { term, contentKey });
  }

  next(): Promise<IteratorResult<ManagerMessage>> {
    return this.#drained.next();
  }

  async nextNumber(): Promise<SnapshotNumber> {
    const { value } = await this.next();
    assert.equal(value?.message.case, "snapshot");
    const { id } = value.message.value;
    assert.ok(id !== undefined);
    return { term: id.term, revision: id.revision };
  }

  /** Offers, and gives the number under which it went out. */
  send(contentKey: string, term = 1n): Promise<SnapshotNumber> {
    assert.ok(this.offer(contentKey, term), `${contentKey} was not sent`);
    return this.nextNumber();
  }

  ack(id: SnapshotNumber): void {
    this.#proxies.answered(this.pod, this.outbox, { id, refusal: undefined });
  }

  nack(id: SnapshotNumber): void {
    this.#proxies.answered(this.pod, this.outbox, { id, refusal });
  }

  report(given: MessageInitShape<typeof ReportSchema>): void {
    this.#proxies.reported(this.pod, this.outbox, create(ReportSchema, given));
  }

  get acknowledged(): string | undefined {
    return this.#proxies.get(this.pod.uid)?.acknowledged?.contentKey;
  }

  get quietSinceMs(): number | undefined {
    return this.#proxies.get(this.pod.uid)?.quietSinceMs;
  }
}

test("proxies: a proxy is known from its hello to the end of its stream, and each change is told", () => {
  const proxies = new Proxies(new FakeClock());
  const told: string[] = [];
  const listening = proxies.onChange(({ name }) => told.push(`${name} ${proxies.size}`));
  const stream = new TestStream(proxies);
  assert.deepEqual(proxies.all(), [
    {
      pod: stream.pod,
      version: "1.2.3",
      sent: undefined,
      acknowledged: undefined,
      refused: undefined,
      report: undefined,
      quietSinceMs: undefined,
    },
  ]);
  proxies.closed(stream.pod, stream.outbox);
  assert.equal(proxies.get(stream.pod.uid), undefined);
  assert.deepEqual(told, ["op-0 1", "op-0 0"]);
  listening[Symbol.dispose]();
  new TestStream(proxies);
  assert.equal(told.length, 2);
});

test("proxies: an equal snapshot of the same term goes out once on a stream", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  const first = await stream.send("x");
  assert.equal(stream.offer("x"), false);
  stream.ack(first);
  assert.equal(stream.offer("x"), false);
  stream.nack(await stream.send("y"));
  assert.equal(stream.offer("y"), false, "one that was refused would be refused again");
  assert.deepEqual({ ...proxies.counters }, { snapshots: 2, acks: 1, nacks: 1 });
});

test("proxies: another content, a new term and a new stream each get a snapshot under a higher number", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  const numbers = [await stream.send("x"), await stream.send("y"), await stream.send("x")];
  numbers.push(await stream.send("x", 2n));
  const next = new TestStream(proxies);
  numbers.push(await next.send("x", 2n));
  assert.deepEqual(numbers, [
    { term: 1n, revision: 1n },
    { term: 1n, revision: 2n },
    { term: 1n, revision: 3n },
    { term: 2n, revision: 4n },
    { term: 2n, revision: 5n },
  ]);
});

test("proxies: a snapshot for a pod without stream is not sent", () => {
  const proxies = new Proxies(new FakeClock());
  assert.equal(proxies.offer("uid", create(SnapshotSchema), { term: 1n, contentKey: "x" }), false);
  assert.equal(proxies.counters.snapshots, 0);
});

test("proxies: an ack proves the newest snapshot only; one for a superseded number proves nothing", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  const x = await stream.send("x");
  assert.equal(stream.acknowledged, undefined);
  const y = await stream.send("y");
  stream.ack(x);
  assert.equal(stream.acknowledged, undefined);
  stream.ack({ term: y.term + 1n, revision: y.revision });
  stream.ack({ term: y.term, revision: y.revision + 1n });
  assert.equal(stream.acknowledged, undefined);
  stream.ack(y);
  assert.equal(stream.acknowledged, "y");
});

test("proxies: while a snapshot is unanswered, the acknowledged one before it may be out of force", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  stream.ack(await stream.send("x"));
  await stream.send("y");
  assert.equal(stream.acknowledged, undefined);
  // The same content as was acknowledged before, while "y" may be in force.
  const again = await stream.send("x");
  assert.equal(stream.acknowledged, undefined);
  stream.ack(again);
  assert.equal(stream.acknowledged, "x");
});

test("proxies: a refused snapshot leaves the acknowledged one before it in force", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  stream.ack(await stream.send("x"));
  stream.nack(await stream.send("y"));
  assert.equal(stream.acknowledged, "x");
  assert.deepEqual(proxies.get(stream.pod.uid)?.refused, refusal);
  stream.nack(await stream.send("z"));
  assert.equal(stream.acknowledged, "x");
  stream.ack(await stream.send("w"));
  assert.equal(proxies.get(stream.pod.uid)?.refused, undefined);
});

test("proxies: after a refusal nothing is proven if a snapshot in between was never answered", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  stream.ack(await stream.send("x"));
  await stream.send("y");
  stream.nack(await stream.send("z"));
  assert.equal(stream.acknowledged, undefined);
});

test("proxies: an ack that is taken back proves nothing", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  stream.ack(await stream.send("x"));
  const y = await stream.send("y");
  stream.ack(y);
  stream.nack(y);
  assert.equal(stream.acknowledged, undefined);
});

test("proxies: whatever a proxy skips, applies or refuses, `acknowledged` is in force there", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("offer" as const), content: fc.constantFrom("x", "y", "z") }),
    fc.record({ kind: fc.constant("take" as const), accepts: fc.boolean(), answers: fc.boolean() }),
    fc.record({ kind: fc.constant("hear" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const proxies = new Proxies(new FakeClock());
      const stream = new TestStream(proxies);
      const onTheWay: { id: SnapshotNumber; content: string }[] = [];
      const answers: (() => void)[] = [];
      let inForce: string | undefined;
      for (const now of steps) {
        if (now.kind === "offer" && stream.offer(now.content)) {
          onTheWay.push({ id: await stream.nextNumber(), content: now.content });
        } else if (now.kind === "take") {
          // The proxy comes to one of the snapshots; an answer may never be given, or be heard much later.
          const taken = onTheWay.shift();
          if (taken === undefined) continue;
          if (now.accepts) inForce = taken.content;
          // A refused snapshot is always answered or was skipped; both leave what is in force.
          if (now.answers) answers.push(() => (now.accepts ? stream.ack(taken.id) : stream.nack(taken.id)));
        } else if (now.kind === "hear") {
          answers.shift()?.();
        }
        if (stream.acknowledged !== undefined) assert.equal(stream.acknowledged, inForce);
      }
    }),
  );
});

test("proxies: a newer stream of a pod ends the older one, whose end and words then change nothing", async () => {
  const proxies = new Proxies(new FakeClock());
  const before = new TestStream(proxies);
  const x = await before.send("x");
  before.offer("y");
  const after = new TestStream(proxies);
  await assert.rejects(before.next(), { code: "CONTROL_STREAM_FAILED" });
  const sent = await after.send("x");
  before.ack(x);
  before.ack(sent);
  before.report({ inForce: sent });
  proxies.closed(before.pod, before.outbox);
  assert.equal(proxies.size, 1);
  assert.equal(after.acknowledged, undefined);
  assert.equal(proxies.get(after.pod.uid)?.report, undefined);
  after.ack(sent);
  assert.equal(after.acknowledged, "x");
});

test("proxies: a refused pod loses its stream with the error, and is away at once", async () => {
  const proxies = new Proxies(new FakeClock());
  const stream = new TestStream(proxies);
  const other = new TestStream(proxies, podOf("op-1"));
  stream.offer("x");
  proxies.refuse(stream.pod.uid, new CtrlmeshError("POD_NOT_FOUND", { what: "the pod is gone" }));
  assert.equal(proxies.get(stream.pod.uid), undefined);
  await assert.rejects(stream.next(), { code: "POD_NOT_FOUND" });
  assert.ok(other.offer("x"));
  proxies.refuse("uid-nobody", new CtrlmeshError("POD_NOT_FOUND", { what: "the pod is gone" }));
});

test("proxies: when leadership ends all streams end in order, and what waited is not sent", async () => {
  const proxies = new Proxies(new FakeClock());
  const told: string[] = [];
  const streams = ["op-0", "op-1"].map((name) => new TestStream(proxies, podOf(name)));
  for (const stream of streams) stream.offer("x");
  proxies.onChange(({ name }) => told.push(name));
  proxies.closeAll();
  assert.equal(proxies.size, 0);
  assert.deepEqual(told, ["op-0", "op-1"]);
  for (const stream of streams) assert.equal((await stream.next()).done, true);
});

test("proxies: the highest term that any proxy has seen stays known", () => {
  const proxies = new Proxies(new FakeClock());
  assert.equal(proxies.highestTerm, 0n);
  const stream = new TestStream(proxies, podOf("op-0"), 7n);
  new TestStream(proxies, podOf("op-1"), 3n);
  proxies.closed(stream.pod, stream.outbox);
  assert.equal(proxies.highestTerm, 7n);
});

test("proxies: a proxy is quiet from the report on that says so of the snapshot it has acknowledged", async () => {
  const clock = new FakeClock();
  const stream = new TestStream(new Proxies(clock));
  const x = await stream.send("x");
  stream.report({ inForce: x });
  assert.equal(stream.quietSinceMs, undefined, "not acknowledged");
  await clock.advance(1000);
  stream.ack(x);
  assert.equal(stream.quietSinceMs, 1000);
  const y = await stream.send("y");
  assert.equal(stream.quietSinceMs, undefined, "the next is on its way");
  stream.ack(y);
  assert.equal(stream.quietSinceMs, undefined, "the last report is about the view before");
  stream.report({ inForce: y, requestsOnOlderView: 2n });
  assert.equal(stream.quietSinceMs, undefined, "requests run under the older view");
  await clock.advance(1000);
  stream.report({ inForce: y });
  assert.equal(stream.quietSinceMs, 2000);
});

test("proxies: counters leave a proxy quiet; another informer that listed, or another view, does not", async () => {
  const clock = new FakeClock();
  const stream = new TestStream(new Proxies(clock));
  const id = await stream.send("x");
  stream.ack(id);
  const services = { group: "", resource: "services" };
  const pods = { group: "", resource: "pods" };
  stream.report({ inForce: id, relisted: [pods, services] });
  await clock.advance(1000);
  stream.report({ inForce: id, relisted: [services, pods], requestsFenced: 3n });
  assert.equal(stream.quietSinceMs, 0);
  stream.report({ inForce: id, relisted: [pods, { group: "apps", resource: "services" }] });
  assert.equal(stream.quietSinceMs, 1000);
  stream.report({ inForce: { term: 1n, revision: 99n }, relisted: [] });
  assert.equal(stream.quietSinceMs, undefined);
});
