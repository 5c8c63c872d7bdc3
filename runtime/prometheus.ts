import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from "prom-client";
import { checkMetricName, type LabelValues, type Metrics } from "./metrics.ts";

/** The same metrics on prom-client, with its measures of the process itself. For the manager. */
export function createPrometheusMetrics(options: { readonly processMetrics: boolean }): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const labelled = (names: readonly string[], values: LabelValues) =>
    Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""]));
  return {
    counter: ({ name, help, labels: names = [] }) => {
      checkMetricName(name);
      const counter = new PromCounter({ name, help, labelNames: [...names], registers: [registry] });
      return { add: (amount = 1, values = []) => counter.inc(labelled(names, values), amount) };
    },
    readCounter: ({ name, help, labels: names = [], read }) => {
      checkMetricName(name);
      const counter: PromCounter = new PromCounter({
        name,
        help,
        labelNames: [...names],
        registers: [registry],
        collect: () => {
          counter.reset();
          for (const [values, value] of read()) counter.inc(labelled(names, values), value);
        },
      });
    },
    gauge: ({ name, help, labels: names = [], read }) => {
      checkMetricName(name);
      const gauge: PromGauge = new PromGauge({
        name,
        help,
        labelNames: [...names],
        registers: [registry],
        ...(read === undefined ? {} : { collect: () => gauge.set(read()) }),
      });
      return { set: (value, values = []) => gauge.set(labelled(names, values), value) };
    },
    histogram: ({ name, help, labels: names = [], buckets }) => {
      checkMetricName(name);
      const config = { name, help, labelNames: [...names], buckets: [...buckets], registers: [registry] };
      const histogram = new PromHistogram(config);
      return { observe: (value, values = []) => histogram.observe(labelled(names, values), value) };
    },
    render: () => registry.metrics(),
  };
}
