import { readFileSync } from "node:fs";

/** What the Node programs of this folder are started with; see `node-proxies.ts`. */
export interface NodeProxySettings {
  readonly port: number;
  readonly upstreamPort: number;
  /** All three PEM. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export function nodeProxySettings(env: NodeJS.ProcessEnv): NodeProxySettings {
  const read = (path: string | undefined): string => readFileSync(path ?? "", "utf8");
  return {
    port: Number(env.BENCH_PORT),
    upstreamPort: Number(env.BENCH_UPSTREAM_PORT),
    cert: read(env.BENCH_CERT_FILE),
    key: read(env.BENCH_KEY_FILE),
    ca: read(env.BENCH_CA_FILE),
  };
}
