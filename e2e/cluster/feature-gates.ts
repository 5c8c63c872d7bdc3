import { spawnSync } from "node:child_process";
import { CtrlmeshError } from "#api/errors";
import { kubernetesBinary } from "./versions.ts";

/**
 * Feature gates by name. Those that matter here: `WatchList` (on since 1.34), `CBORServingAndStorage` (off),
 * `ShardedListAndWatch` (since 1.36, off). `ClientsAllowCBOR` and `ClientsPreferCBOR` are of client-go: API servers
 * take them for their own clients, operators by the variables KUBE_FEATURE_ClientsAllowCBOR and so on.
 */
export type FeatureGates = Readonly<Record<string, boolean>>;

/**
 * Reads `NAME=true|false` as flags give it.
 *
 * @throws INVALID_FLAG
 */
export function parseFeatureGates(texts: readonly string[]): FeatureGates {
  const gates: Record<string, boolean> = {};
  for (const text of texts.flatMap((each) => each.split(","))) {
    const [, name, value] = /^([A-Za-z0-9]+)=(true|false)$/.exec(text) ?? [];
    if (name === undefined)
      throw new CtrlmeshError("INVALID_FLAG", {
        what: `"${text}" is no feature gate`,
        where: "--feature-gate",
        hint: "write NAME=true or NAME=false",
      });
    gates[name] = value === "true";
  }
  return gates;
}

/** As kube-apiserver takes them; empty for none. */
export function featureGateArguments(gates: FeatureGates): string[] {
  const texts = Object.entries(gates).map(([name, on]) => `${name}=${on}`);
  return texts.length === 0 ? [] : [`--feature-gates=${texts.join(",")}`];
}

/**
 * Asks the API server's own program whether it takes these gates, before anything boots: it reads them before it
 * prints its version.
 *
 * @throws INVALID_SETTING with its words for a gate that this version does not know, or has locked
 */
export function checkFeatureGates(version: string, gates: FeatureGates): void {
  const args = featureGateArguments(gates);
  if (args.length === 0) return;
  const result = spawnSync(kubernetesBinary("kube-apiserver", version), [...args, "--version"], {
    encoding: "utf8",
  });
  if (result.status === 0) return;
  const said = /err="(.*)"/.exec(result.stderr ?? "")?.[1] ?? result.error?.message ?? result.stderr;
  throw new CtrlmeshError("INVALID_SETTING", {
    what: `kube-apiserver ${version}: ${said}`,
    where: "feature gates",
    cause: result.error,
  });
}
