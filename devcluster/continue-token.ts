import { isObject } from "./json.ts";
import { badRequest } from "./status-error.ts";

/** Where the next page of a list starts. */
export interface ContinuePoint {
  /** Revision of the snapshot; -1: go on in the newest state. */
  readonly revision: number;
  /** First key not to be skipped, relative to the list's prefix. */
  readonly start: string;
}

/** base64url JSON as apiserver's `storage.EncodeContinue` writes it; the start begins with "/". */
export function printContinueToken({ revision, start }: ContinuePoint): string {
  const text = JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start: `/${start}` });
  return Buffer.from(text).toString("base64url");
}

/** @throws StatusError 400 */
export function parseContinueToken(token: string): ContinuePoint {
  const fail = (why: string) => badRequest(`invalid continue token: continue key is not valid: ${why}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, "base64url").toString());
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(parsed)) throw fail("no JSON object");
  const { v, rv, start } = parsed;
  if (v !== "meta.k8s.io/v1")
    throw fail(`server does not recognize this encoded version ${JSON.stringify(v)}`);
  if (typeof rv !== "number" || !Number.isSafeInteger(rv) || rv === 0)
    throw fail("incorrect encoded start resourceVersion");
  if (typeof start !== "string" || start === "") throw fail("encoded start key empty");
  // A start that climbs would read another list.
  if (!start.startsWith("/") || start.includes("/../")) throw fail("encoded start key is not clean");
  return { revision: rv, start: start.slice(1) };
}
