import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Grant,
  HashFunction,
  LimitSchema,
  SnapshotIdSchema,
  SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Clock, systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";
import { type CompiledSnapshot, compileSnapshot } from "../snapshot.ts";
import {
  createIdentity,
  dialRaw,
  type RawIdentity,
  type RawPeer,
  RawUpstream,
} from "../transport/raw-peers.ts";
import { createDataPlaneCounters, type DataPlaneCounters } from "./counters.ts";
import { FloorTable } from "./floor.ts";
import type { FloorAnswer } from "./floor-scope.ts";
import { decide } from "./pipeline.ts";
import { type ApiserverProxy, type ApiserverProxyOptions, createApiserverProxy } from "./server.ts";

/** The API server proxy between raw peers, with the real rules: for tests. */

const identity: Promise<RawIdentity> = createIdentity();

let revision = 0n;

/** A granted snapshot that limits ConfigMaps to `selector`. */
export function snapshotOf(
  selector: string,
  changes: MessageInitShape<typeof SnapshotSchema> = {},
): CompiledSnapshot {
  revision++;
  return compileSnapshot(
    create(SnapshotSchema, {
      id: create(SnapshotIdSchema, { term: 1n, revision }),
      shard: "shard-a",
      grant: Grant.GRANTED,
      hash: HashFunction.MURMUR3,
      limits: [create(LimitSchema, { groups: [""], resources: ["configmaps"], selector })],
      unfilteredNamespaces: ["own"],
      epoch: revision,
      ...changes,
    }),
  );
}

export class Harness implements AsyncDisposable {
  readonly proxy: ApiserverProxy;
  readonly upstream: RawUpstream;
  readonly counters: DataPlaneCounters;
  readonly identity: RawIdentity;
  readonly #stop: AbortController;
  readonly #clients: RawPeer[] = [];

  private constructor(parts: {
    readonly proxy: ApiserverProxy;
    readonly upstream: RawUpstream;
    readonly counters: DataPlaneCounters;
    readonly identity: RawIdentity;
    readonly stop: AbortController;
  }) {
    this.proxy = parts.proxy;
    this.upstream = parts.upstream;
    this.counters = parts.counters;
    this.identity = parts.identity;
    this.#stop = parts.stop;
  }

  static async start(
    changes: Partial<ApiserverProxyOptions> & {
      readonly clock?: Clock;
      readonly readFloor?: () => Promise<FloorAnswer>;
    } = {},
  ): Promise<Harness> {
    const parts = await identity;
    const upstream = await RawUpstream.start(parts);
    const stop = new AbortController();
    const clock = changes.clock ?? systemClock;
    const counters = createDataPlaneCounters();
    const floors = FloorTable.ofNewPod({
      read: changes.readFloor ?? (() => Promise.resolve({ kind: "known", resourceVersion: "100" })),
      clock,
      log: silentLog,
      random: () => 0.5,
      signal: stop.signal,
      onKnown: () => undefined,
    });
    const proxy = createApiserverProxy({
      listen: { host: "127.0.0.1", port: 0 },
      upstream: { host: "127.0.0.1", port: upstream.port, servername: "127.0.0.1", ca: () => parts.caPem },
      identity: { privateKeyPem: parts.privateKeyPem, certificateChainPem: parts.certificatePem },
      snapshot: snapshotOf("team=a"),
      floors,
      decide,
      clock,
      log: silentLog,
      counters,
      http2: false,
      random: () => 0.5,
      ...changes,
    });
    try {
      return new Harness({ proxy: await proxy, upstream, counters, identity: parts, stop });
    } catch (error) {
      await upstream[Symbol.asyncDispose]();
      throw error;
    }
  }

  async dial(): Promise<RawPeer> {
    const peer = await dialRaw(this.proxy.address.port, this.identity.caPem);
    this.#clients.push(peer);
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const client of this.#clients) client.socket.destroy();
    await this.proxy[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

/** The bytes of a request without a body. */
export function requestOf(line: string, ...headers: readonly string[]): string {
  return [`${line} HTTP/1.1`, "Host: api", ...headers, "", ""].join("\r\n");
}
