import { readFile } from "node:fs/promises";
import { CtrlmeshError } from "#api/errors";

/** What a control stream is opened with. */
export interface Credentials {
  readonly ca: Buffer;
  readonly token: string;
}

/** Reads both files anew. @throws FILE_UNREADABLE, also for a token that cannot be one */
export async function readCredentials(caFile: string, tokenFile: string): Promise<Credentials> {
  const ca = await readControlFile(caFile);
  const token = (await readControlFile(tokenFile)).toString("latin1").trim();
  if (/^[\x21-\x7e]+$/.test(token)) return { ca, token };
  throw new CtrlmeshError("FILE_UNREADABLE", {
    what: token === "" ? "the token is empty" : "the token has characters that no token has",
    where: tokenFile,
    hint: "check the projected volume of the control token",
  });
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
