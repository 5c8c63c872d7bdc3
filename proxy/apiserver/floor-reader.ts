import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { CtrlmeshError } from "#api/errors";
import { version } from "#api/version";
import type { FloorAnswer, FloorQuestion, ReadFloor } from "./floor-scope.ts";

export interface FloorReaderOptions {
  /** Address of the API server. */
  readonly host: string;
  readonly port: number;
  /** The pod's own token. Read for each request, since the kubelet replaces it; so is the CA. */
  readonly tokenFile: string;
  /** PEM. */
  readonly caFile: string;
}

/** A connection that carries nothing for so long is closed. */
const idleMs = 10_000;
/** One object's metadata; the API server stores none above 1.5 MiB. */
const bodyLimitBytes = 4 * 1024 * 1024;
/** At its start an operator lists all its kinds at once. */
const connectionLimit = 4;
const userAgent = `ctrlmesh-proxy/${version}`;
const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/**
 * Reads floors with the pod's own service account: a list of at most one object, metadata only, without
 * resourceVersion and so consistent. Its answer's resourceVersion is the newest of that moment.
 */
export class FloorReader implements Disposable {
  readonly #options: FloorReaderOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connectionLimit, timeout: idleMs });

  constructor(options: FloorReaderOptions) {
    this.#options = options;
  }

  /**
   * @throws FILE_UNREADABLE without token or CA, UPSTREAM_UNREACHABLE without an answer, MALFORMED_RESPONSE for
   *   one that is no list, API_REQUEST_FAILED for every status that is neither 200 nor a fact about the resource
   */
  readonly read: ReadFloor = async (question, signal) => {
    const path = listPath(question);
    const { status, body } = await this.#get(path, signal);
    switch (status) {
      case 200:
        return { kind: "known", resourceVersion: resourceVersionOf(body, path) };
      case 403:
        return { kind: "forbidden" };
      case 404:
      case 405:
        return { kind: "absent" } satisfies FloorAnswer;
      default:
        throw new CtrlmeshError("API_REQUEST_FAILED", {
          what: `the API server answered ${status}`,
          where: path,
        });
    }
  };

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #get(path: string, signal: AbortSignal): Promise<{ status: number; body: string }> {
    const { host, port, tokenFile, caFile } = this.#options;
    const [token, ca] = await Promise.all([readText(tokenFile), readText(caFile)]);
    const headers = {
      accept: `${metadataOnly},application/json;q=0.9`,
      authorization: `Bearer ${token.trim()}`,
      // In an audit log these reads stand under the operator's name.
      "user-agent": userAgent,
    };
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request({ host, port, path, headers, ca, signal, agent: this.#agent }, resolve)
          .on("error", reject)
          .end();
      });
      return { status: response.statusCode ?? 0, body: await readBody(response) };
    } catch (cause) {
      if (cause instanceof CtrlmeshError) throw cause;
      throw new CtrlmeshError("UPSTREAM_UNREACHABLE", {
        what: `the API server gave no answer: ${reasonOf(cause, signal)}`,
        where: `${host}:${port}${path}`,
        cause,
      });
    }
  }
}

/** An abort's own error says only that it was one. */
function reasonOf(cause: unknown, signal: AbortSignal): string {
  const reason: unknown = signal.aborted ? signal.reason : cause;
  return reason instanceof Error ? reason.message : String(reason);
}

function listPath({ group, version, resource, namespace, selector }: FloorQuestion): string {
  const parts = group === "" ? ["api", version] : ["apis", group, version];
  if (namespace !== undefined) parts.push("namespaces", namespace);
  return `/${[...parts, resource].map(encodeURIComponent).join("/")}?limit=1&labelSelector=${encodeURIComponent(selector)}`;
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > bodyLimitBytes) {
      throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "a list of one object exceeds 4 MiB" });
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** "" for resources without versions. */
function resourceVersionOf(body: string, path: string): string {
  let list: unknown;
  try {
    list = JSON.parse(body);
  } catch (cause) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the list is no JSON", where: path, cause });
  }
  const metadata =
    typeof list === "object" && list !== null && "metadata" in list ? list.metadata : undefined;
  if (typeof metadata !== "object" || metadata === null) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the list has no metadata", where: path });
  }
  const version = "resourceVersion" in metadata ? metadata.resourceVersion : "";
  if (typeof version === "string") return version;
  throw new CtrlmeshError("MALFORMED_RESPONSE", {
    what: "the list's resourceVersion is no text",
    where: path,
  });
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CtrlmeshError("FILE_UNREADABLE", { what: "can't be read", where: path, cause });
  }
}
