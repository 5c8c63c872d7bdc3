import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import { parse } from "yaml";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import { isRecord } from "./api-error.ts";
import { type Authentication, type Credentials, RereadFile } from "./credentials.ts";

/**
 * Credentials from kubeconfig files (`KUBECONFIG` syntax: several joined by the path delimiter, the first one
 * decides). Loads `@kubernetes/client-node`, about 350 ms and 80 MiB, which a pod never pays.
 *
 * @throws KUBECONFIG_INVALID naming file and member; FILE_UNREADABLE
 */
export async function kubeconfigCredentials(
  files: string,
  context: string | undefined,
  clock: Clock,
): Promise<Credentials> {
  const paths = files.split(delimiter).filter((path) => path !== "");
  const config = await loadAll(paths, files);
  if (context !== undefined) config.setCurrentContext(context);
  const where = `${files}, context ${JSON.stringify(config.getCurrentContext() ?? "")}`;
  const { cluster, user } = current(config, where);
  const server = serverUrl(cluster, where);
  const tokenFile = await tokenFileOf(paths, user);
  const token = tokenFile === undefined ? undefined : new RereadFile(tokenFile, clock);
  // client-node refuses plain http unless told that nothing is verified; without TLS there is nothing to verify.
  if (server.protocol === "http:") config.clusters = config.clusters.map((each) => unverified(each, cluster));
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    proxyUrl: cluster.proxyUrl,
    current: async (refresh) => {
      const auth = await authenticate(config, cluster, where);
      if (token === undefined) return auth;
      const bearer = `Bearer ${(await token.text(refresh)).trim()}`;
      return { tls: auth.tls, headers: { ...auth.headers, authorization: bearer } };
    },
  };
}

async function loadAll(paths: readonly string[], files: string): Promise<KubeConfig> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const merged = new KubeConfig();
  let loaded = 0;
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT" && paths.length > 1) return undefined; // as kubectl does with a list
      throw new CtrlmeshError("FILE_UNREADABLE", { what: cause.message, where: path, cause });
    });
    if (text === undefined) continue;
    const one = new KubeConfig();
    try {
      one.loadFromString(text);
      one.makePathsAbsolute(dirname(path));
      merged.mergeConfig(one, loaded > 0);
    } catch (cause) {
      throw invalid(cause instanceof Error ? cause.message : String(cause), path, cause);
    }
    loaded += 1;
  }
  if (loaded === 0) throw invalid("no kubeconfig file there", files);
  return merged;
}

function current(config: KubeConfig, where: string): { cluster: Cluster; user: User | undefined } {
  const context = config.getContextObject(config.getCurrentContext());
  if (context === null) {
    const names = config.getContexts().map((each) => each.name);
    throw invalid("no such context", where, undefined, `it has ${names.join(", ") || "none"}`);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw invalid(`no cluster named ${JSON.stringify(context.cluster)}`, where);
  const user = config.getCurrentUser() ?? undefined;
  if (user === undefined && context.user)
    throw invalid(`no user named ${JSON.stringify(context.user)}`, where);
  return { cluster, user };
}

function serverUrl(cluster: Cluster, where: string): URL {
  const url = URL.canParse(cluster.server) ? new URL(cluster.server) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw invalid(`server ${JSON.stringify(cluster.server)} is no http(s) address`, where);
  }
  if (cluster.proxyUrl !== undefined && !/^https?:\/\//.test(cluster.proxyUrl)) {
    throw invalid(
      `proxy-url ${JSON.stringify(cluster.proxyUrl)} is not supported`,
      where,
      undefined,
      "use http(s)",
    );
  }
  return url;
}

function unverified(each: Cluster, target: Cluster): Cluster {
  return each.name === target.name ? { ...each, skipTLSVerify: true } : each;
}

/** client-node does not know the member `tokenFile` of a user, which kubectl reads at each request. */
async function tokenFileOf(paths: readonly string[], user: User | undefined): Promise<string | undefined> {
  if (user === undefined) return undefined;
  for (const path of paths) {
    const root: unknown = parse(await readFile(path, "utf8").catch(() => ""));
    const users = isRecord(root) && Array.isArray(root.users) ? root.users : [];
    for (const each of users) {
      if (!isRecord(each) || each.name !== user.name || !isRecord(each.user)) continue;
      const members = each.user;
      const refused = ["as-groups", "as-uid", "as-user-extra"].find((name) => members[name] !== undefined);
      // Leaving impersonation out silently would act with other rights than the file says.
      if (refused !== undefined) throw invalid(`${refused} is not supported`, `${path}, user ${user.name}`);
      const tokenFile = members.tokenFile;
      if (typeof tokenFile !== "string" || tokenFile === "") return undefined;
      return isAbsolute(tokenFile) ? tokenFile : join(dirname(path), tokenFile);
    }
  }
  return undefined;
}

async function authenticate(config: KubeConfig, cluster: Cluster, where: string): Promise<Authentication> {
  const options: RequestOptions & { headers: Record<string, string> } = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw invalid(`no credentials: ${cause instanceof Error ? cause.message : String(cause)}`, where, cause);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers)) headers[name.toLowerCase()] = `${value}`;
  if (typeof options.auth === "string") {
    headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  return {
    tls: {
      // A context without a user gets no CA from client-node.
      ca: pem(options.ca) ?? (await clusterCa(cluster)),
      cert: pem(options.cert),
      key: pem(options.key),
      servername: cluster.tlsServerName,
      rejectUnauthorized: cluster.skipTLSVerify === true ? false : undefined,
    },
    headers,
  };
}

async function clusterCa(cluster: Cluster): Promise<string | undefined> {
  if (cluster.caFile !== undefined) return await readFile(cluster.caFile, "utf8");
  return cluster.caData === undefined ? undefined : Buffer.from(cluster.caData, "base64").toString("utf8");
}

function pem(value: RequestOptions["ca"] | RequestOptions["key"]): string | undefined {
  if (typeof value === "string") return value;
  return Buffer.isBuffer(value) ? value.toString("utf8") : undefined;
}

function invalid(what: string, where: string, cause?: unknown, hint?: string): CtrlmeshError {
  return new CtrlmeshError("KUBECONFIG_INVALID", {
    what,
    where,
    ...(cause === undefined ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
  });
}
