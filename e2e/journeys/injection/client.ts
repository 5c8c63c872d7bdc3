import { wellKnown } from "#api/names";
import { ports } from "#api/ports";

/**
 * A client of the API server that runs in a pod, on the Node of our image, and dials it in every way that clients
 * do. Its source goes into the manifest, so it stands on its own.
 */

/** What a list of all ConfigMaps showed: those of the shard, those of others too, or an error's code. */
export type Seen = "shard" | "everything" | string;

export interface ClientReport {
  /** By the way in which the API server was dialled. */
  readonly seen: Readonly<Record<Way, Seen>>;
  /** Requests that the proxy counted: before the first list, and after the last one. */
  readonly proxied: readonly [number, number];
  /** `KUBECONFIG` of the process. */
  readonly kubeconfig: string;
}

/**
 * - `env`: the variables of an in-cluster configuration, the address verified in the certificate.
 * - `kubeconfig`: what the file of `KUBECONFIG` says; "none" where there is no such file.
 * - `name`: `kubernetes.default.svc:443`.
 * - `ipv4`, `ipv6`: the Service's addresses, verified in the certificate.
 * - `endpoint`: the API server itself, behind the Service.
 */
export const ways = ["env", "kubeconfig", "name", "ipv4", "ipv6", "endpoint"] as const;
export type Way = (typeof ways)[number];

export interface ClientTargets {
  /** Namespace that the shard owns, and one that it does not. */
  readonly own: string;
  readonly other: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly endpoint: { readonly host: string; readonly port: number };
}

/** Program text for `node -e`. Prints one ClientReport as a line of JSON. */
export function clientProgram(targets: ClientTargets, afterwards: "stay" | "end"): string {
  return `(${clientMain})(${JSON.stringify({ ...targets, afterwards, adminPort: ports.proxyAdmin, kubeconfigPath: wellKnown.fakeKubeconfigMountPath })})`;
}

/** Runs in the pod; TypeScript here is what stripping leaves of it. */
const clientMain = `async (targets) => {
  const { readFileSync } = require("node:fs");
  const https = require("node:https");
  const { get } = require("node:http");
  const account = "/var/run/secrets/kubernetes.io/serviceaccount";
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, KUBECONFIG: file = "", POD_IP: podIp } = process.env;
  const list = (options) =>
    new Promise((resolve) => {
      const outgoing = https.request({
        path: "/api/v1/configmaps",
        headers: { authorization: "Bearer " + readFileSync(account + "/token", "utf8") },
        ca: readFileSync(account + "/ca.crt"),
        agent: false,
        timeout: 5000,
        ...options,
      }, (answer) => {
        let body = "";
        answer.setEncoding("utf8").on("data", (text) => { body += text; });
        answer.on("end", () => {
          if (answer.statusCode !== 200) return resolve(String(answer.statusCode));
          const namespaces = new Set(JSON.parse(body).items.map(({ metadata }) => metadata.namespace));
          if (!namespaces.has(targets.own)) return resolve("nothing");
          resolve(namespaces.has(targets.other) ? "everything" : "shard");
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(Object.assign(new Error(), { code: "TIMEOUT" })));
      outgoing.on("error", (error) => resolve(error.code ?? error.message));
      outgoing.end();
    });
  const byKubeconfig = () => {
    let config;
    try {
      config = JSON.parse(readFileSync(file, "utf8"));
    } catch {
      return "none";
    }
    const { hostname, port } = new URL(config.clusters[0].cluster.server);
    return list({ host: hostname, port });
  };
  const proxied = () =>
    new Promise((resolve) => {
      const outgoing = get({ host: podIp, port: targets.adminPort, path: "/metrics", agent: false }, (answer) => {
        let body = "";
        answer.setEncoding("utf8").on("data", (text) => { body += text; });
        answer.on("end", () => {
          const counts = [...body.matchAll(/^ctrlmesh_proxy_requests_total\\{[^}]*\\} (\\d+)/gm)];
          resolve(counts.reduce((sum, [, count]) => sum + Number(count), 0));
        });
      });
      outgoing.on("error", () => resolve(-1));
    });
  const before = await proxied();
  const seen = {
    env: await list({ host, port }),
    kubeconfig: await byKubeconfig(),
    name: await list({ host: "kubernetes.default.svc", port: 443 }),
    ipv4: await list({ host: targets.ipv4, port: 443 }),
    ipv6: await list({ host: targets.ipv6, port: 443 }),
    endpoint: await list({ ...targets.endpoint, servername: "kubernetes.default.svc" }),
  };
  console.log(JSON.stringify({ seen, proxied: [before, await proxied()], kubeconfig: file }));
  if (targets.afterwards === "stay") setInterval(() => {}, 1 << 30);
}`;
