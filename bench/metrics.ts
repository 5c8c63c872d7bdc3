/** What is measured. CPU and times are of the proxy's process alone, delays and rates are what the client sees. */
export const metrics = {
  cpu: "CPU time of the proxy for each unit of work",
  rate: "work done each second",
  p50: "median time of a request, or delay of a watch event",
  p99: "99th percentile of the same",
  added: "median time of a request beyond that without a proxy",
  rss: "resident memory",
  growth: "peak of the resident memory beyond what it was before the work",
  time: "time from the start of the process to ready",
} as const;

export type Metric = keyof typeof metrics;

export const peerNames = [
  "direct",
  "go",
  "go-bare",
  "haproxy",
  "nginx",
  "http-proxy-3",
  "undici",
  "prototype",
] as const;

/** What the product is compared with. `direct` is no proxy at all. */
export type PeerName = (typeof peerNames)[number];
export type ContenderName = PeerName | "product";

/** The figures of one measurement; a metric that a contender does not have is absent. */
export type Figures = Readonly<Partial<Record<Metric, number>>>;

/** The unit of each metric of a case. */
export type Units = Readonly<Partial<Record<Metric, string>>>;
