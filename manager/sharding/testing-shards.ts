import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  Grant,
  HelloSchema,
  ReportSchema,
  type Snapshot,
  type WebhookRoutes,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { KubernetesObject } from "#api/meta";
import { containers, defaultShardLabels, labels, relayEnvironment } from "#api/names";
import { parseShardingConfig, type ShardingConfigStatus } from "#api/sharding-config";
import type { Informer } from "#kube/client/client";
import type { Happening } from "#kube/client/events";
import { startInformer } from "#kube/client/informer";
import { MemoryApi } from "#kube/client/memory-api";
import { FakeClock } from "#runtime/fake-clock";
import type { Log } from "#runtime/log";
import type { PodIdentity } from "../control/authenticate.ts";
import { Outbox } from "../control/outbox.ts";
import { Proxies } from "../control/proxies.ts";
import { shardingConfigKind } from "./config-objects.ts";
import { runSharding } from "./controller.ts";
import type { ServedResource } from "./discovery.ts";
import type { CoverageState } from "./kind-healing.ts";
import { filteredKinds, unfilteredKinds } from "./resource-patterns.ts";
import { testKind } from "./testing-cluster.ts";

/** What the tests of sharding as a whole share: an API server in memory, leaders, and pods with proxies. */
const namespace = "ops";
const silence: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silence,
};

export class ShardingWorld implements AsyncDisposable {
  readonly api = new MemoryApi();
  readonly clock = new FakeClock();
  readonly served: readonly ServedResource[] = [
    testKind("configmaps", "ConfigMap"),
    testKind("secrets", "Secret"),
  ];
  /** By resource; complete unless said otherwise. */
  /** Last count of atoms that nobody owns. */
  unowned = 0;
  readonly coverage = new Map<string, CoverageState>();
  readonly events: Happening[] = [];
  readonly #configs: Informer;
  readonly #coverageListeners = new Set<() => void>();
  readonly #stack = new AsyncDisposableStack();

  constructor() {
    const deps = { clock: this.clock, log: silence, random: () => 0.5 };
    this.#configs = this.#stack.use(startInformer(this.api, { kind: shardingConfigKind }, deps));
  }

  /** Starts a leader; the streams of an earlier one stay with it. */
  lead(term: number): Leader {
    const proxies = new Proxies(this.clock);
    const stop = new AbortController();
    const leader: Leader = { proxies, stop, ended: Promise.resolve(), term: { current: term } };
    const ended = runSharding(
      {
        client: this.api,
        proxies,
        configs: this.#configs,
        catalog: {
          resolve: (patterns) => filteredKinds(patterns, this.served),
          unfilteredFor: (patterns) => unfilteredKinds(patterns, this.served),
          onChange: () => ({ [Symbol.dispose]: () => {} }),
        },
        coverage: {
          state: ({ resource }) => this.coverage.get(resource) ?? { complete: true, remaining: 0, stuck: [] },
          want: () => {},
          onChange: (listener) => {
            const tell = () => listener({ group: "", resource: "" });
            this.#coverageListeners.add(tell);
            return { [Symbol.dispose]: () => void this.#coverageListeners.delete(tell) };
          },
        },
        unowned: {
          set: (count) => {
            this.unowned = count;
          },
        },
        events: { record: (_, happening) => void this.events.push(happening) },
        labels: defaultShardLabels,
        hash: "murmur3",
        relayKey: () => new Uint8Array(32).fill(7),
        exemptNamespaces: ["kube-system"],
        term: {
          get current() {
            return leader.term.current;
          },
          raise: async (atLeast) => {
            leader.term.current = Math.max(leader.term.current + 1, atLeast);
          },
        },
        clock: this.clock,
        log: silence,
        random: () => 0.5,
      },
      stop.signal,
    );
    this.#stack.defer(async () => {
      stop.abort();
      await ended.catch(() => {});
    });
    leader.ended = ended;
    return leader;
  }

  setCoverage(resource: string, state: CoverageState): void {
    this.coverage.set(resource, state);
    for (const tell of this.#coverageListeners) tell();
  }

  /** Applies a ShardingConfig that selects the pods `<name>-<n>` and limits ConfigMaps to some namespaces. */
  apply(name: string, namespaces: readonly string[], changes: Readonly<Record<string, unknown>> = {}): void {
    const present = this.api.peek("shardingconfigs", name, namespace);
    this.api.put("shardingconfigs", {
      apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
      kind: "ShardingConfig",
      metadata: { creationTimestamp: "2030-01-01T00:00:00Z", ...present?.metadata, name, namespace },
      spec: {
        selector: { matchLabels: { app: name } },
        controller: { leaderElectionName: "billing" },
        limits: [
          {
            relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
            selector: {
              matchExpressions: [{ key: defaultShardLabels.namespace, operator: "In", values: namespaces }],
            },
          },
        ],
        ...changes,
      },
      ...(present?.status === undefined ? {} : { status: present.status }),
    });
  }

  /** A pod of a shard, injected unless said otherwise. */
  startPod(
    name: string,
    shard: string,
    changes: { injected?: boolean; labels?: Record<string, string>; relays?: boolean } = {},
  ): PodIdentity {
    const { injected = true, labels: more = {}, relays = false } = changes;
    const env = relays ? [{ name: relayEnvironment.target, value: "127.0.0.1:9443" }] : [];
    const container = { name: injected ? containers.proxy : "operator", env };
    const podLabels = injected ? { [labels.shardingConfigInjected]: shard, [labels.watching]: "true" } : {};
    const { metadata } = this.api.put("pods", {
      metadata: { name, namespace, labels: { app: shard, ...podLabels, ...more } },
      spec: { containers: [container] },
      status: {
        phase: "Running",
        podIP: "10.0.0.1",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [{ name: container.name, state: { running: {} } }],
      },
    });
    return { namespace, name, uid: metadata?.uid ?? "", podIp: "10.0.0.1", shard };
  }

  setReady(pod: string, ready: boolean): void {
    const object = this.api.peek("pods", pod, namespace);
    const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
    this.api.put("pods", { ...object, status: { ...(object?.status as object), conditions } });
  }

  status(name: string): ShardingConfigStatus {
    const object = this.api.peek("shardingconfigs", name, namespace);
    return object === undefined ? {} : (parseShardingConfig(object).status ?? {});
  }

  condition(name: string, type: string): string | undefined {
    const found = this.status(name).conditions?.find((condition) => condition.type === type);
    return found === undefined ? undefined : `${found.status} ${found.reason}`;
  }

  get ledger(): KubernetesObject | undefined {
    return this.api.peek("ownershipledgers", "leader.billing", namespace);
  }

  /** Moves the clock until something is so; fails after 20 s of its time, saying what was missing. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    for (let round = 0; round < 200; round++) {
      if (isSo()) return;
      await this.clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.fail(`missing: ${what}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

export interface Leader {
  readonly proxies: Proxies;
  readonly stop: AbortController;
  readonly term: { current: number };
  ended: Promise<void>;
}

/** The stream of one proxy: keeps what it gets, and answers while `answers` is set. */
export class ProxyStream {
  readonly received: Snapshot[] = [];
  /** As they came. */
  readonly webhookRoutes: WebhookRoutes[] = [];
  readonly pod: PodIdentity;
  answers: "accept" | "refuse" | "nothing" = "accept";
  readonly #outbox = new Outbox();
  readonly #leader: Leader;

  constructor(pod: PodIdentity, leader: Leader, highestTerm = 0n, webhookRoutes = false) {
    this.pod = pod;
    this.#leader = leader;
    void this.#read();
    leader.proxies.opened(
      pod,
      create(HelloSchema, { proxyVersion: "1", highestTerm, webhookRoutes }),
      this.#outbox,
    );
  }

  close(): void {
    this.#leader.proxies.closed(this.pod, this.#outbox);
    this.#outbox.close();
  }

  get last(): Snapshot | undefined {
    return this.received.at(-1);
  }

  /** "granted namespace=x", with the fence behind "fenced". */
  get standing(): string {
    if (this.last === undefined) return "nothing";
    if (this.last.grant !== Grant.GRANTED) return `refused: ${this.last.grantReason}`;
    const selectors = this.last.limits.map(({ selector }) =>
      selector
        .replaceAll(defaultShardLabels.hash, "hash")
        .replaceAll(defaultShardLabels.namespace, "namespace"),
    );
    const fenced = this.last.fence?.namespaces ?? [];
    return `granted ${selectors.join(" ")}${fenced.length === 0 ? "" : ` fenced ${fenced.join(",")}`}`;
  }

  async #read(): Promise<void> {
    for await (const { message } of this.#outbox.drain()) {
      if (message.case === "webhookRoutes") this.webhookRoutes.push(message.value);
      if (message.case !== "snapshot") continue;
      this.received.push(message.value);
      this.answer();
    }
  }

  answer(): void {
    const id = this.last?.id;
    if (this.answers === "nothing" || id === undefined) return;
    const { term, revision } = id;
    const refusal = this.answers === "accept" ? undefined : { code: "SNAPSHOT_INVALID", reason: "no" };
    this.#leader.proxies.answered(this.pod, this.#outbox, { id: { term, revision }, refusal });
    this.#leader.proxies.reported(this.pod, this.#outbox, create(ReportSchema, { inForce: id }));
  }
}
