import { randomInt } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Downstream } from "./load/messages.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly requestsPerSecond: number;
  readonly watches: number;
  readonly downstream: Downstream;
  /** Where the record goes. */
  readonly json: string | undefined;
  readonly plot: string | undefined;
  /** File URLs of modules that the proxy loads before its program. */
  readonly preloads: readonly string[];
}

export type SoakCommand =
  | { readonly kind: "run"; readonly options: SoakOptions }
  /** Makes plot and page from a record. */
  | { readonly kind: "render"; readonly json: string }
  | { readonly kind: "help" };

export const usage = `node e2e/soak/main.ts [--minutes 10] [--seed NUMBER] [--json FILE] [--plot FILE.svg]
    [--downstream http1|http2|mixed] [--rate 100] [--watches 64] [--preload MODULE]...
node e2e/soak/main.ts --render RECORD.json    writes docs/soak.md's figures and docs/soak/*.svg
`;

/** @throws TypeError, RangeError for arguments that make no sense */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): SoakCommand {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: "string", default: env.CTRLMESH_SOAK_MINUTES ?? "10" },
      seed: { type: "string", default: env.CTRLMESH_TEST_SEED ?? String(randomInt(2 ** 31)) },
      rate: { type: "string", default: "100" },
      watches: { type: "string", default: "64" },
      downstream: { type: "string", default: "mixed" },
      json: { type: "string" },
      plot: { type: "string" },
      preload: { type: "string", multiple: true, default: [] },
      render: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return { kind: "help" };
  if (values.render !== undefined) return { kind: "render", json: values.render };
  return {
    kind: "run",
    options: {
      minutes: positive("minutes", values.minutes),
      seed: positive("seed", values.seed),
      requestsPerSecond: positive("rate", values.rate),
      watches: positive("watches", values.watches),
      downstream: downstreamOf(values.downstream),
      json: values.json,
      plot: values.plot,
      preloads: values.preload.map((path) => pathToFileURL(resolve(path)).href),
    },
  };
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new RangeError(`--${name} ${text} is no number above 0`);
  return number;
}

function downstreamOf(text: string): Downstream {
  if (text === "http1" || text === "http2" || text === "mixed") return text;
  throw new RangeError(`--downstream ${text} is none of http1, http2, mixed`);
}
