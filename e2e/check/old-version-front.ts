import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { isRecord } from "#kube/client/api-error";

interface AdminKubeconfig {
  readonly clusters: readonly [
    { readonly cluster: { readonly server: string; readonly "certificate-authority-data": string } },
  ];
  readonly users: readonly [
    { readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string } },
  ];
}

/** An API server that says it is of another version, and is the real one in all else. */
export interface OldVersionFront extends AsyncDisposable {
  readonly kubeconfig: string;
}

/** Serves plain HTTP on loopback in the name of a kubeconfig's user. */
export async function openOldVersionFront(
  kubeconfig: string,
  folder: string,
  gitVersion: string,
): Promise<OldVersionFront> {
  const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as AdminKubeconfig;
  const [{ cluster }] = config.clusters;
  const [{ user }] = config.users;
  const pem = (data: string) => Buffer.from(data, "base64").toString("utf8");
  const tls = {
    ca: pem(cluster["certificate-authority-data"]),
    cert: pem(user["client-certificate-data"]),
    key: pem(user["client-key-data"]),
  };
  const server = createServer((incoming, outgoing) => {
    if (incoming.url === "/version") {
      outgoing.setHeader("content-type", "application/json");
      outgoing.end(JSON.stringify({ major: "1", minor: "27", gitVersion }));
      return;
    }
    const { method, headers } = incoming;
    const upstream = request(`${cluster.server}${incoming.url}`, { ...tls, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    incoming.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = isRecord(address) ? address.port : 0;
  const file = join(folder, "old-version.kubeconfig");
  const front = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "front",
    clusters: [{ name: "front", cluster: { server: `http://127.0.0.1:${port}` } }],
    contexts: [{ name: "front", context: { cluster: "front", user: "" } }],
  };
  writeFileSync(file, JSON.stringify(front));
  return {
    kubeconfig: file,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
