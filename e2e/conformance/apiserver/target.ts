import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { startApiServer } from "#devcluster/main";
import { silentLog } from "#runtime/log";
import { startControlPlane } from "../../cluster/control-plane.ts";

export type TargetName = "embedded" | "real";

/** An API server that the suite runs against, and its administrator. */
export interface Target extends AsyncDisposable {
  readonly name: TargetName;
  readonly url: string;
  /** PEM. */
  readonly caPem: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  /** Forgets all states before now, as the API server's compactor does each five minutes. */
  compact(): Promise<void>;
}

export function startTarget(name: TargetName): Promise<Target> {
  return name === "embedded" ? startEmbedded() : startReal();
}

async function startEmbedded(): Promise<Target> {
  const server = await startApiServer({ port: 0, log: silentLog });
  return {
    name: "embedded",
    ...administratorOf(server.adminKubeconfig()),
    compact: async () => server.faults.compact(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function startReal(): Promise<Target> {
  const plane = await startControlPlane({
    controllerManager: true,
    // The watch cache keeps states of its own for lists and forgets them a minute after etcd did.
    featureGates: { ListFromCacheSnapshot: false },
  });
  const administrator = administratorOf(readFileSync(plane.kubeconfig, "utf8"));
  return {
    name: "real",
    ...administrator,
    compact: () => compactEtcd(plane.etcdUrl),
    [Symbol.asyncDispose]: () => plane[Symbol.asyncDispose](),
  };
}

function administratorOf(
  kubeconfig: string,
): Pick<Target, "url" | "caPem" | "clientCertificate" | "clientKey"> {
  const config = parse(kubeconfig) as Kubeconfig;
  const [cluster] = config.clusters;
  const [user] = config.users;
  if (cluster === undefined || user === undefined) throw new Error("the kubeconfig names no cluster or user");
  const decoded = (text: string): string => Buffer.from(text, "base64").toString();
  return {
    url: cluster.cluster.server,
    caPem: decoded(cluster.cluster["certificate-authority-data"]),
    clientCertificate: decoded(user.user["client-certificate-data"]),
    clientKey: decoded(user.user["client-key-data"]),
  };
}

interface Kubeconfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly "certificate-authority-data": string };
  }[];
  readonly users: readonly {
    readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string };
  }[];
}

async function compactEtcd(url: string): Promise<void> {
  const call = async (path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`${url}/v3/kv/${path}`, { method: "POST", body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  const key = Buffer.from("compact_rev_key").toString("base64");
  const { header } = (await call("range", { key })) as { header: { revision: string } };
  await call("put", { key, value: Buffer.from(header.revision).toString("base64") });
  await call("compaction", { revision: header.revision, physical: true });
}
