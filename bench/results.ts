import type { CaseName } from "./cases.ts";
import type { ContenderName, Figures, Metric, PeerName, Units } from "./metrics.ts";
import { pairedRatios, type Spread, spreadOf } from "./statistics.ts";

/** One line of the JSON output: the product beside one peer. `product` and `peerValue` are medians. */
export interface ResultRow {
  readonly case: CaseName;
  readonly metric: Metric;
  /** "after-10000": the product itself, at an earlier time. */
  readonly peer: PeerName | "after-10000";
  readonly product: number;
  readonly peerValue: number;
  readonly unit: string;
  /** product / peer */
  readonly ratio: Spread;
}

/** Figures of one contender in one case, by repetition; undefined where it could not be measured. */
export type Samples = ReadonlyMap<ContenderName, readonly (Figures | undefined)[]>;

/** The rows of one case: each metric of the product beside each peer that has it too. */
export function rowsOf(name: CaseName, units: Units, samples: Samples): ResultRow[] {
  const all = withAddedLatency(samples);
  const valuesOf = (contender: ContenderName, metric: Metric) =>
    (all.get(contender) ?? []).map((figures) => figures?.[metric]);
  const peers = [...all.keys()].filter((contender) => contender !== "product");
  return (Object.entries(units) as [Metric, string][]).flatMap(([metric, unit]) =>
    peers.flatMap((peer) => {
      const [products, others] = [valuesOf("product", metric), valuesOf(peer, metric)];
      const ratios = pairedRatios(products, others);
      if (ratios.length === 0) return [];
      const [product, peerValue] = [medianOf(products), medianOf(others)];
      return [{ case: name, metric, peer, product, peerValue, unit, ratio: spreadOf(ratios) }];
    }),
  );
}

function medianOf(values: readonly (number | undefined)[]): number {
  return spreadOf(values.filter((value) => value !== undefined)).median;
}

/** `added` is a difference to the direct way in the same repetition. */
function withAddedLatency(samples: Samples): Samples {
  const direct = samples.get("direct");
  if (direct === undefined) return samples;
  return new Map(
    [...samples].map(([contender, repetitions]) => [
      contender,
      repetitions.map((figures, repetition) => {
        const floor = direct[repetition]?.p50;
        if (contender === "direct" || figures?.p50 === undefined || floor === undefined) return figures;
        return { ...figures, added: figures.p50 - floor };
      }),
    ]),
  );
}
