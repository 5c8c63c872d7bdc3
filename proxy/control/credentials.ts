import { readFile } from "node:fs/promises";
import { CtrlmeshError } from "#api/errors";

/** What a control stream is opened with. */
export interface Credentials {
  readonly ca: Buffer;
  readonly token: string;
}

export interface CredentialFiles {
  readonly caFile: string;
  readonly tokenFile: string;
  /** UID of this pod. */
  readonly podUid: string;
}

/**
 * Reads both files anew. A token that names another pod is not used: its stream would bring that pod's snapshots, and
 * two operators would act as one holder.
 *
 * @throws FILE_UNREADABLE, also for a token that cannot be one; POD_NOT_BOUND
 */
export async function readCredentials({ caFile, tokenFile, podUid }: CredentialFiles): Promise<Credentials> {
  const ca = await readControlFile(caFile);
  const token = (await readControlFile(tokenFile)).toString("latin1").trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CtrlmeshError("FILE_UNREADABLE", {
      what: token === "" ? "the token is empty" : "the token has characters that no token has",
      where: tokenFile,
      hint: "check the projected volume of the control token",
    });
  }
  const boundTo = podUidIn(token);
  if (boundTo === undefined || boundTo === podUid) return { ca, token };
  throw new CtrlmeshError("POD_NOT_BOUND", {
    what: `the token is bound to the pod with UID ${boundTo}, this is ${podUid}`,
    where: tokenFile,
    hint: "mount the pod's own projected token",
  });
}

/**
 * UID of the pod that a service account token names (a JWT, RFC 7519 section 3; Kubernetes' private claim).
 * Unverified: that is the API server's part, as is every token that names none.
 */
function podUidIn(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const uid = member(member(member(claims, "kubernetes.io"), "pod"), "uid");
    return typeof uid === "string" ? uid : undefined;
  } catch {
    return undefined; // no JWT
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

async function readControlFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CtrlmeshError("FILE_UNREADABLE", {
      what,
      where: path,
      hint: "check the volumes of the proxy",
      cause,
    });
  }
}
