import { parseArgs } from "node:util";
import { type CaseName, caseNames, type Timing } from "./cases.ts";
import { type PeerName, peerNames } from "./metrics.ts";

export interface BenchOptions {
  readonly json: string | undefined;
  readonly cases: readonly CaseName[];
  readonly peers: readonly PeerName[];
  readonly repetitions: number;
  readonly timing: Timing;
  /** Write docs/performance.md and its plots. */
  readonly writesDocs: boolean;
  /** Folder of the prototype, if it is to be measured too. */
  readonly prototype: string | undefined;
  /** Runs the cases of `long-memory.ts` as well, which take ten minutes. */
  readonly isLong: boolean;
}

const full = { repetitions: 5, timing: { warmMs: 1_000, firstWarmMs: 8_000, measuredMs: 3_000 } };
const quick = { repetitions: 2, timing: { warmMs: 400, firstWarmMs: 6_000, measuredMs: 800 } };

/** @throws with a sentence for the user */
export function readOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: "string" },
      cases: { type: "string" },
      peers: { type: "string" },
      repetitions: { type: "string" },
      quick: { type: "boolean", default: false },
      docs: { type: "boolean", default: false },
      prototype: { type: "string" },
      long: { type: "boolean", default: false },
    },
  });
  const { repetitions, timing } = values.quick ? quick : full;
  const defaultPeers = peerNames.filter((name) => name !== "prototype" || values.prototype !== undefined);
  return {
    json: values.json,
    cases: chosen("--cases", values.cases, caseNames) ?? caseNames,
    peers: chosen("--peers", values.peers, peerNames) ?? defaultPeers,
    repetitions: values.repetitions === undefined ? repetitions : positive(values.repetitions),
    timing,
    writesDocs: values.docs,
    prototype: values.prototype,
    isLong: values.long,
  };
}

function chosen<T extends string>(
  flag: string,
  text: string | undefined,
  known: readonly T[],
): T[] | undefined {
  if (text === undefined) return undefined;
  return text.split(",").map((each) => {
    const name = known.find((candidate) => candidate === each);
    if (name === undefined) throw new Error(`${flag}: "${each}" is none of ${known.join(", ")}`);
    return name;
  });
}

function positive(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--repetitions: "${text}" is no positive number`);
}
