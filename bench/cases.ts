import { setTimeout as delay } from "node:timers/promises";
import type { Protocol, RunningContender } from "./contenders/contender.ts";
import { type LoadFlags, type LoadResult, runLoad } from "./load.ts";
import { residentMiB } from "./machine.ts";
import type { Figures, Units } from "./metrics.ts";
import { selector, type TestBed } from "./test-bed.ts";

/** Names of all cases; `-h2` is the same with an HTTP/2 client, `memory` is in `long-memory.ts`. */
export const caseNames = [
  "get-1k",
  "get-1k-h2",
  "get-1k-c64",
  "get-1k-c64-h2",
  "get-1k-c1",
  "get-1k-c1-h2",
  "list-2m",
  "list-2m-h2",
  "list-20m",
  "list-20m-h2",
  "watch-1",
  "watch-1-h2",
  "watch-50",
  "watch-50-h2",
  "watch-500",
  "watch-500-h2",
  "watch-5000",
  "watch-5000-h2",
  "idle",
  "start",
  "start-first",
  "memory",
  "memory-h2",
] as const;

export type CaseName = (typeof caseNames)[number];

/** Durations of one measurement. */
export interface Timing {
  readonly warmMs: number;
  /**
   * The same for a process that stays for all repetitions, once: a sidecar runs for weeks, and a just-in-time compiler
   * is at it for its first ten thousands of requests.
   */
  readonly firstWarmMs: number;
  readonly measuredMs: number;
}

export interface Measurement {
  readonly bed: TestBed;
  readonly running: RunningContender;
  readonly timing: Timing;
  /** Whether the contender adds the selector; else the client does, so that the upstream gets the same. */
  readonly rewrites: boolean;
}

export interface BenchCase {
  readonly name: CaseName;
  readonly about: string;
  readonly protocol: Protocol;
  readonly units: Units;
  /** Each measurement gets a process of its own: memory depends on what ran before. */
  readonly needsNewProcess: boolean;
  /** The product starts without anything on its disk. */
  readonly isFirstStart?: boolean;
  measure(measurement: Measurement): Promise<Figures>;
}

/** An object of 1 KiB. */
export const objectPath = "/api/v1/namespaces/ns-a/pods/pod-000001";
const bytesPerMB = 1e6;
const mbPerMiB = 2 ** 20 / 1e6;
/** After which an idle process has freed what its start took. */
const idleMs = 2_000;

/**
 * Path of a list or watch as an informer asks for it.
 *
 * @param rewrites whether the proxy adds the selector; else it is part of the path
 */
export function podsPath(parameters: string, rewrites: boolean): string {
  const own = rewrites ? "app=bench" : `app=bench,${selector}`;
  return `/api/v1/pods?${parameters}&labelSelector=${encodeURIComponent(own)}`;
}

function load(measurement: Measurement, protocol: Protocol, flags: LoadFlags): Promise<LoadResult> {
  const { bed, running, timing } = measurement;
  return runLoad(bed, {
    protocol,
    port: running.port,
    pid: running.pid ?? 0,
    warm: `${timing.warmMs}ms`,
    duration: `${timing.measuredMs}ms`,
    "want-selector": selector,
    ...flags,
  });
}

/** CPU time per unit of work; nothing without a process. */
function cpuPer(result: LoadResult, units: number, perSecond: number): Figures {
  return result.rssMiB === 0 ? {} : { cpu: (result.cpuSeconds * perSecond) / units };
}

function gets(name: CaseName, protocol: Protocol, clients: number): BenchCase {
  return {
    name,
    about: `GET of 1 KiB, ${clients} client${clients === 1 ? "" : "s"}`,
    protocol,
    units: {
      cpu: "us/request",
      rate: "requests/s",
      p50: "ms",
      p99: "ms",
      ...(clients === 1 ? { added: "ms" } : {}),
    },
    needsNewProcess: false,
    measure: async (measurement) => {
      const result = await load(measurement, protocol, { path: objectPath, clients, "want-bytes": 1000 });
      const { count, seconds, p50Ms: p50, p99Ms: p99 } = result;
      return { ...cpuPer(result, count, 1e6), rate: count / seconds, p50, p99 };
    },
  };
}

function lists(name: CaseName, protocol: Protocol, size: "2m" | "20m"): BenchCase {
  const isLarge = size === "20m";
  const parameters = isLarge ? "benchSize=20m&resourceVersion=0" : "resourceVersion=0";
  return {
    name,
    about: `chunked lists of ${isLarge ? 20 : 2} MB, ${isLarge ? 1 : 4} at a time`,
    protocol,
    units: { cpu: "ms/MB", rate: "MB/s", ...(isLarge ? { growth: "MB" } : {}) },
    needsNewProcess: isLarge,
    measure: async (measurement) => {
      const request: LoadFlags = {
        path: podsPath(parameters, measurement.rewrites),
        clients: isLarge ? 1 : 4,
        "want-bytes": isLarge ? 20e6 : 2e6,
      };
      // The growth is that of the first lists alone, so the warm-up is made of small requests. CPU time is that of a
      // process that has carried lists before.
      const first = isLarge
        ? await load(measurement, protocol, { ...request, "warm-path": objectPath })
        : undefined;
      const result = await load(measurement, protocol, request);
      const megabytes = result.bytes / bytesPerMB;
      const growth = first !== undefined && first.rssMiB > 0 ? { growth: growthMB(first) } : {};
      return { ...cpuPer(result, megabytes, 1e3), rate: megabytes / result.seconds, ...growth };
    },
  };
}

function growthMB({ peakMiB, rssBeforeMiB }: LoadResult): number {
  return (peakMiB - rssBeforeMiB) * mbPerMiB;
}

function watches(name: CaseName, protocol: Protocol, count: number, rate: number): BenchCase {
  return {
    name,
    about: `${count} watch${count === 1 ? "" : "es"}, ${count * rate} events/s in all`,
    protocol,
    units: { cpu: "us/event", p50: "ms", p99: "ms", rss: "MiB" },
    needsNewProcess: true,
    measure: async (measurement) => {
      const path = podsPath("watch=1&resourceVersion=1001&allowWatchBookmarks=true", measurement.rewrites);
      const result = await load(measurement, protocol, { mode: "watches", path, clients: count, rate });
      const { count: events, p50Ms: p50, p99Ms: p99, rssMiB } = result;
      return { ...cpuPer(result, events, 1e6), p50, p99, ...(rssMiB > 0 ? { rss: rssMiB } : {}) };
    },
  };
}

const idle: BenchCase = {
  name: "idle",
  about: "ready, nobody asks; the product's control stream is connected",
  protocol: "http1",
  units: { rss: "MiB" },
  needsNewProcess: true,
  measure: async ({ running: { pid } }) => {
    if (pid === undefined) return {};
    await delay(idleMs);
    return { rss: residentMiB(pid) };
  },
};

function start(name: CaseName, about: string, isFirstStart: boolean): BenchCase {
  return {
    name,
    about,
    protocol: "http1",
    units: { cpu: "ms to listening", time: "ms to ready" },
    needsNewProcess: true,
    isFirstStart,
    measure: async ({ running: { listening, ready = listening } }) =>
      listening === undefined || ready === undefined ? {} : { cpu: listening.cpuMs, time: ready.wallMs },
  };
}

/** In the order in which they run; those of `long-memory.ts` follow. */
export const cases: readonly BenchCase[] = [
  gets("get-1k", "http1", 8),
  gets("get-1k-h2", "http2", 8),
  gets("get-1k-c64", "http1", 64),
  gets("get-1k-c64-h2", "http2", 64),
  gets("get-1k-c1", "http1", 1),
  gets("get-1k-c1-h2", "http2", 1),
  lists("list-2m", "http1", "2m"),
  lists("list-2m-h2", "http2", "2m"),
  lists("list-20m", "http1", "20m"),
  lists("list-20m-h2", "http2", "20m"),
  watches("watch-1", "http1", 1, 20),
  watches("watch-1-h2", "http2", 1, 20),
  watches("watch-50", "http1", 50, 20),
  watches("watch-50-h2", "http2", 50, 20),
  watches("watch-500", "http1", 500, 2),
  watches("watch-500-h2", "http2", 500, 2),
  watches("watch-5000", "http1", 50, 100),
  watches("watch-5000-h2", "http2", 50, 100),
  idle,
  start("start", "a start with the snapshot on disk", false),
  start("start-first", "a first start: certificate and snapshot come from the manager", true),
];
