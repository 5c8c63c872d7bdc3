import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { Flag, FrameType, preface, Setting } from "../../http2/constants.ts";
import { readSettings } from "../../http2/frame-payload.ts";
import { settingsAckFrame, settingsFrame } from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import { snapshotOf } from "../raw-harness.ts";
import { answerOf, ask, Http2Harness, send } from "./http2-harness.ts";
import { dataFrame, frameOf, headersFrame, RawFrames, requestFrame, settled } from "./raw-frames.ts";

/** SETTINGS and PING, which pass, and what of them does not. */

const lists = "/api/v1/configmaps";

test("http2 settings: the client's reach the API server without a table for answers and without pushes", async () => {
  await using mesh = await RawFrames.start();
  const client = await mesh.dial();
  client.send(
    preface,
    settingsFrame([
      [Setting.HEADER_TABLE_SIZE, 65_536],
      [Setting.ENABLE_PUSH, 1],
      [Setting.INITIAL_WINDOW_SIZE, 77],
      [Setting.MAX_HEADER_LIST_SIZE, 1_000],
      [0x99, 5],
    ]),
  );
  const upstream = await mesh.accept();
  const { payload } = await upstream.next(FrameType.SETTINGS);
  assert.deepEqual(
    new Map(readSettings(payload)),
    new Map([
      [1, 0],
      [2, 0],
      [4, 77],
      [6, 1_000],
      [0x99, 5],
    ]),
  );
});

test("http2 settings: the API server's reach the client with a bounded table and without extended CONNECT", async () => {
  await using mesh = await RawFrames.start();
  const client = await mesh.dial();
  client.send(preface, settingsFrame([]));
  const upstream = await mesh.accept();
  upstream.send(
    settingsFrame([
      [Setting.HEADER_TABLE_SIZE, 1 << 20],
      [Setting.MAX_CONCURRENT_STREAMS, 250],
      [Setting.ENABLE_CONNECT_PROTOCOL, 1],
      [Setting.MAX_FRAME_SIZE, 1 << 20],
    ]),
  );
  const { payload } = await client.next(FrameType.SETTINGS);
  assert.deepEqual(
    new Map(readSettings(payload)),
    new Map([
      [1, 4_096],
      [3, 250],
      [5, 1 << 20],
    ]),
  );
});

test("http2 settings: each is acknowledged by the other side, not by the proxy", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 100]]));
  await upstream.next(FrameType.SETTINGS);
  const before = client.seen.length;
  await settled(upstream, client);
  assert.deepEqual(client.log.slice(before), ["PING 0 8"]);
  upstream.send(settingsAckFrame());
  assert.equal((await client.next(FrameType.SETTINGS)).flags, Flag.ACK);
});

test("http2 settings: PING and its answer pass both ways with their octets", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(frameOf(FrameType.PING, 0, 0, "12345678"));
  const ping = await upstream.next(FrameType.PING);
  assert.equal(`${ping.payload} ${ping.flags}`, "12345678 0");
  upstream.send(frameOf(FrameType.PING, Flag.ACK, 0, "12345678"));
  const pong = await client.next(FrameType.PING);
  assert.equal(`${pong.payload} ${pong.flags}`, "12345678 1");
});

test("http2 settings: a client that changes its initial window moves the windows of open streams, ours too", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({ clientSettings: [[Setting.INITIAL_WINDOW_SIZE, 20]] });
  client.send(requestFrame(1, { ":path": `${lists}?watch=1` }));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(
    headersFrame(1, { ":status": "200", "content-type": "application/json" }),
    dataFrame(1, "{}\n"),
  );
  await client.next(FrameType.DATA, 1);
  // The event that ends the watch is longer than 17 octets.
  const switched = mesh.inner.proxy.switchTo(snapshotOf("team=b"), AbortSignal.timeout(5_000));
  await settled(client, upstream);
  assert.equal(client.contentOf(1), "{}\n");
  client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 500]]));
  await upstream.next(FrameType.SETTINGS);
  assert.equal(client.contentOf(1), "{}\n");
  upstream.send(settingsAckFrame());
  const last = await client.next(FrameType.DATA, 1);
  assert.match(last.payload.toString(), /"code":410/);
  assert.equal(client.log.lastIndexOf("SETTINGS 0 0 end") < client.seen.indexOf(last), true);
  await upstream.next(FrameType.RST_STREAM, 1);
  await switched;
});

test("http2 settings: a smaller table that the API server asks for holds for requests once the client agreed", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({ upstreamSettings: [[Setting.HEADER_TABLE_SIZE, 0]] });
  client.send(requestFrame(1));
  // The block does not begin with the update that is due.
  await client.next(FrameType.GOAWAY);
  assert.deepEqual(
    upstream.seen.filter(({ type }) => type === FrameType.HEADERS),
    [],
  );
  const again = await mesh.connect({ upstreamSettings: [[Setting.HEADER_TABLE_SIZE, 0]] });
  const { payload } = { payload: requestFrame(1).subarray(9) };
  again.client.send(
    frameOf(
      FrameType.HEADERS,
      Flag.END_HEADERS | Flag.END_STREAM,
      1,
      Buffer.concat([Buffer.of(0x20), payload]),
    ),
  );
  assert.equal((await again.upstream.next(FrameType.HEADERS, 1)).fields?.[":path"], "/version");
});

for (const size of [0, 100]) {
  test(`http2 settings: a client that makes its table for answers ${size} octets large is told so by the next one, even ours`, async () => {
    await using mesh = await Http2Harness.start();
    const client = connect(`https://127.0.0.1:${mesh.inner.proxy.address.port}`, {
      ca: mesh.inner.identity.caPem,
      settings: { headerTableSize: size },
    });
    const errors: Error[] = [];
    client.on("error", (error) => errors.push(error));
    await once(client, "localSettings");
    assert.equal((await ask(client, "//api")).status, 400);
    const call = send(client, { ":path": "/version" });
    const { stream } = await mesh.upstream.next();
    stream.respond({ ":status": 200, "x-long": "v".repeat(200) });
    stream.end("ok");
    assert.equal((await answerOf(call)).body, "ok");
    client.settings({ headerTableSize: 4_096 });
    client.settings({ headerTableSize: size });
    await eventually(() => !client.pendingSettingsAck, "the acknowledgement");
    assert.equal((await ask(client, "//api")).status, 400);
    assert.deepEqual(errors, []);
    client.destroy();
  });
}
