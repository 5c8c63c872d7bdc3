import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";

/** Where the API server is and how to prove who we are, as of one moment. */
export interface Credentials {
  /** Scheme, host, port and, behind some gateways, a path prefix without a slash at the end. */
  readonly server: URL;
  /** Namespace of the context or of the pod. */
  readonly namespace: string | undefined;
  /** HTTP proxy in front of the server, as `proxy-url` of a kubeconfig. */
  readonly proxyUrl: string | undefined;
  /**
   * TLS and headers for the next request. Cheap: what expires is read again when due.
   * @param refresh the server answered 401: read again now
   */
  current(refresh: boolean): Promise<Authentication>;
}

export interface Authentication {
  readonly tls: TlsMaterial;
  readonly headers: Readonly<Record<string, string>>;
}

/** PEM texts; undefined members are left to Node's defaults. */
export interface TlsMaterial {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly servername: string | undefined;
  readonly rejectUnauthorized: boolean | undefined;
}

/** A pod's own identity: its service account. */
export interface InCluster {
  /** Value of KUBERNETES_SERVICE_HOST. */
  readonly host: string;
  /** Value of KUBERNETES_SERVICE_PORT. */
  readonly port: string;
  /** Default: where the kubelet mounts it. */
  readonly serviceAccountDirectory?: string;
}

const defaultServiceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";
/** The kubelet rotates tokens at 80 % of at least 10 minutes; client-go re-reads each minute too. */
const rereadMs = 60_000;

/**
 * Credentials of a pod. Token and CA are read again each minute, since both are replaced in place.
 * @throws FILE_UNREADABLE when the service account is not mounted
 */
export async function inClusterCredentials(from: InCluster, clock: Clock): Promise<Credentials> {
  const directory = from.serviceAccountDirectory ?? defaultServiceAccountDirectory;
  const host = from.host.includes(":") ? `[${from.host}]` : from.host;
  const token = new RereadFile(join(directory, "token"), clock);
  const ca = new RereadFile(join(directory, "ca.crt"), clock);
  await Promise.all([token.text(false), ca.text(false)]);
  const namespace = await readFile(join(directory, "namespace"), "utf8").catch(() => "");
  return {
    server: new URL(`https://${host}:${from.port}`),
    namespace: namespace.trim() === "" ? undefined : namespace.trim(),
    proxyUrl: undefined,
    current: async (refresh) => ({
      tls: {
        ca: await ca.text(false),
        cert: undefined,
        key: undefined,
        servername: undefined,
        rejectUnauthorized: undefined,
      },
      headers: { authorization: `Bearer ${(await token.text(refresh)).trim()}` },
    }),
  };
}

/** A small file that others replace. A failed re-read keeps the last text: the kubelet may be mid-swap. */
export class RereadFile {
  readonly #path: string;
  readonly #clock: Clock;
  #text: string | undefined;
  #readAtMs = 0;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  async text(refresh: boolean): Promise<string> {
    const now = this.#clock.monotonicMs();
    if (this.#text !== undefined && !refresh && now - this.#readAtMs < rereadMs) return this.#text;
    try {
      this.#text = await readFile(this.#path, "utf8");
      this.#readAtMs = now;
    } catch (cause) {
      if (this.#text === undefined) {
        throw new CtrlmeshError("FILE_UNREADABLE", {
          what: cause instanceof Error ? cause.message : String(cause),
          where: this.#path,
          cause,
        });
      }
    }
    return this.#text;
  }
}
