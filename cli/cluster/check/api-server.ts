import { toCtrlmeshError } from "#api/errors";
import { apiStatusOf } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { supportsMutatingPolicies, supportsValidatingPolicies } from "#manager/sharding/admission-policy";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";
import { memberOf, textOf } from "./read.ts";

/** ValidatingAdmissionPolicy v1 is what refuses a pod that slipped past the webhook. */
const oldestMinor = 30;
const nativeSidecarMinor = 29;

/** Version of the API server and what it can do of what we use. */
export const apiServerCheck: Check = {
  name: "api-server",
  phases: ["before", "after"],
  run: async ({ client, signal }) => {
    const call = { signal };
    const answer = await client.raw("GET", "/version", undefined, call);
    const version = textOf(memberOf(answer, "gitVersion")) ?? "unknown";
    const abilities = await abilitiesOf(client, version, call);
    const names = Object.entries(abilities).map(([name, has]) => `${has ? "" : "no "}${name}`);
    return { summary: `${version}: ${names.join(", ")}`, findings: judgeApiServer(version, abilities) };
  },
};

/** By the words that people know them by. */
export interface Abilities {
  readonly "native sidecars": boolean;
  readonly "ValidatingAdmissionPolicy v1": boolean;
  readonly "MutatingAdmissionPolicy v1": boolean;
  readonly WatchList: boolean;
  readonly CBOR: boolean;
}

/** What a version and its abilities mean for an installation. */
export function judgeApiServer(version: string, abilities: Abilities): Finding[] {
  const where = `API server ${version}`;
  const minor = minorOf(version);
  if ((minor !== undefined && minor < oldestMinor) || !abilities["ValidatingAdmissionPolicy v1"]) {
    return [
      {
        level: "error",
        code: "ApiServerTooOld",
        where,
        what: `it has no ValidatingAdmissionPolicy v1, so nothing would refuse a pod without its proxy while the webhooks are away`,
        remedy: `upgrade the cluster to Kubernetes 1.${oldestMinor} or later`,
      },
    ];
  }
  const missing: Finding[] = [];
  const limited = (what: string, remedy: string): void => {
    missing.push({ level: "info", code: "ApiServerLimited", where, what, remedy });
  };
  if (!abilities["native sidecars"]) {
    limited("it has no native sidecars", "run the manager with --native-sidecars=false");
  }
  if (!abilities["MutatingAdmissionPolicy v1"]) {
    limited(
      "it has no MutatingAdmissionPolicy v1: new objects are labelled by a webhook call",
      "nothing to do; from Kubernetes 1.36 on the API server labels by itself",
    );
  }
  return missing;
}

/** 36 of "v1.36.3+k3s1"; undefined for anything else. */
function minorOf(version: string): number | undefined {
  const digits = /^v1\.(\d+)\./.exec(version)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

async function abilitiesOf(client: KubeClient, version: string, call: CallOptions): Promise<Abilities> {
  const [validating, mutating, watchList, cbor] = await Promise.all([
    supportsValidatingPolicies(client, call),
    supportsMutatingPolicies(client, call),
    takes(client, watchListProbe, undefined, call),
    takes(client, "/api/v1/namespaces?limit=1", "application/cbor", call),
  ]);
  return {
    "native sidecars": (minorOf(version) ?? 0) >= nativeSidecarMinor,
    "ValidatingAdmissionPolicy v1": validating,
    "MutatingAdmissionPolicy v1": mutating,
    WatchList: watchList,
    CBOR: cbor,
  };
}

/** KEP-3157: refused with 422 where the feature is off. Watches one object for a second. */
const watchListProbe = `/api/v1/namespaces?${new URLSearchParams({
  watch: "true",
  sendInitialEvents: "true",
  resourceVersionMatch: "NotOlderThan",
  allowWatchBookmarks: "true",
  timeoutSeconds: "1",
  fieldSelector: "metadata.name=kube-system",
})}`;

/** Whether the server answers a request at all. What it answers is no JSON text, and is not looked at. */
async function takes(
  client: KubeClient,
  path: string,
  accept: string | undefined,
  call: CallOptions,
): Promise<boolean> {
  try {
    await client.raw("GET", path, undefined, { ...call, ...(accept === undefined ? {} : { accept }) });
    return true;
  } catch (thrown) {
    call.signal.throwIfAborted();
    const status = apiStatusOf(thrown)?.httpStatus;
    if (status === 406 || status === 422 || status === 400) return false;
    if (toCtrlmeshError(thrown).code === "MALFORMED_RESPONSE") return true;
    throw thrown;
  }
}
