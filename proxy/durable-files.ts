import { constants } from "node:fs";
import { lstat, mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { CtrlmeshError } from "#api/errors";

/** Files that survive a kill of the process or of the machine at any moment: whole and current, or not there. */
export interface DurableFiles {
  /** Content; undefined when there is no such file. Rejects with FILE_UNREADABLE otherwise. */
  read(path: string): Promise<Buffer | undefined>;
  /** Once resolved, the file holds `content` and nothing earlier can come back. Rejects with the system's error. */
  replace(path: string, content: Uint8Array): Promise<void>;
  /** Once resolved, the file is gone for good. Resolves as well when there was none. */
  remove(path: string): Promise<void>;
}

/** Far above the largest snapshot; a larger file is not ours. */
const sizeLimitBytes = 64 * 1024 * 1024;

export const durableFiles: DurableFiles = { read, replace, remove };

async function read(path: string): Promise<Buffer | undefined> {
  try {
    // O_NONBLOCK: a fifo in the place of the file must not hang the start.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const facts = await file.stat();
    if (!facts.isFile()) throw new Error("not a regular file");
    if (facts.size > sizeLimitBytes) throw new Error(`${facts.size} bytes are more than ${sizeLimitBytes}`);
    return await file.readFile();
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw new CtrlmeshError("FILE_UNREADABLE", {
      what: cause instanceof Error ? cause.message : String(cause),
      where: path,
      hint: "check the volume of the state directory",
      cause,
    });
  }
}

async function replace(path: string, content: Uint8Array): Promise<void> {
  const temporary = `${path}.next`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    // A left-over of a killed process may be there, with other permissions.
    await unlinkIfThere(temporary);
    await using file = await open(temporary, "wx", 0o600);
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    // The space of a half-written file is given back; failing to do so must not hide the first error.
    await unlinkIfThere(temporary).catch(() => {});
    throw error;
  }
  await rename(temporary, path);
  await syncFolderOf(path);
}

async function remove(path: string): Promise<void> {
  try {
    await unlinkIfThere(path);
    await syncFolderOf(path);
  } catch (error) {
    // On a read-only or vanished volume unlink fails as well for what was never there.
    if (await isAbsent(path)) return;
    throw error;
  }
}

/** Without it a rename or unlink may be undone when the machine loses power. */
async function syncFolderOf(path: string): Promise<void> {
  await using folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  await folder.sync();
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return hasCode(error, "ENOENT");
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
