import { createHash } from "node:crypto";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import type { Log } from "#runtime/log";
import type { DurableFiles } from "./durable-files.ts";

/** What a restarted proxy takes up again. */
export interface StoredSnapshot {
  /** The message ctrlmesh.v1.Snapshot as the manager sent it. */
  readonly snapshot: Uint8Array;
  /** The floor table as JSON; whoever reads it checks it. */
  readonly floors: unknown;
}

/**
 * `stored`: the file holds it. `forgotten`: it could not be written, but the file is gone, so that a restart begins
 * with nothing (429). Both promise that nothing older is left on disk.
 */
export type StoreOutcome = "stored" | "forgotten";

interface SnapshotFileOptions {
  readonly stateDirectory: string;
  /** The file belongs to one pod; that of another is ignored. */
  readonly podUid: string;
  readonly files: DurableFiles;
  readonly log: Log;
}

const formatVersion = 1;

/**
 * The last good snapshot, with the floors, on the pod's own volume. One text file: a line with format version and
 * SHA-256 of the rest, then JSON. Writes are put one after the other by the caller.
 */
export class SnapshotFile {
  readonly path: string;
  readonly #options: SnapshotFileOptions;

  constructor(options: SnapshotFileOptions) {
    this.#options = options;
    this.path = join(options.stateDirectory, "snapshot");
  }

  /**
   * What was stored; undefined when there is no file of this pod.
   *
   * @throws SNAPSHOT_FILE_CORRUPT for a damaged file, FILE_UNREADABLE when it cannot be read. Callers treat both as
   *   no file: the proxy then waits for the manager, which is the closed side.
   */
  async load(): Promise<StoredSnapshot | undefined> {
    const { files, podUid, log } = this.#options;
    const content = await files.read(this.path);
    if (content === undefined) return undefined;
    const { podUid: owner, ...stored } = this.#parse(content);
    if (owner === podUid) return stored;
    log.warn("the stored snapshot belongs to another pod, ignored", {
      reason: `written by pod UID ${owner}`,
    });
    return undefined;
  }

  /**
   * Replaces what is stored. When it cannot be written, what is there is removed instead.
   *
   * @throws SNAPSHOT_NOT_STORED when not even that works: the older snapshot may come back after a restart, so the
   *   new one must not be acknowledged.
   */
  async store(stored: StoredSnapshot): Promise<StoreOutcome> {
    const { files, log } = this.#options;
    try {
      await files.replace(this.path, this.#print(stored));
      return "stored";
    } catch (error) {
      log.warn("the snapshot cannot be stored; a restart will wait for the manager", {
        error,
        path: this.path,
      });
    }
    await this.forget();
    return "forgotten";
  }

  /** @throws SNAPSHOT_NOT_STORED when the file cannot be removed. */
  async forget(): Promise<void> {
    try {
      await this.#options.files.remove(this.path);
    } catch (cause) {
      throw new CtrlmeshError("SNAPSHOT_NOT_STORED", {
        what: "the snapshot on disk can neither be replaced nor removed",
        where: this.path,
        hint: "check the volume of the state directory",
        cause,
      });
    }
  }

  #print({ snapshot, floors }: StoredSnapshot): Buffer {
    const body = `${JSON.stringify({
      podUid: this.#options.podUid,
      snapshot: Buffer.from(snapshot).toString("base64"),
      floors,
    })}\n`;
    return Buffer.from(`ctrlmesh-snapshot ${formatVersion} ${sha256(body)}\n${body}`);
  }

  #parse(content: Buffer): StoredSnapshot & { readonly podUid: string } {
    const end = content.indexOf("\n");
    const head = /^ctrlmesh-snapshot (\d{1,9}) ([0-9a-f]{64})$/.exec(
      content.toString("latin1", 0, Math.max(end, 0)),
    );
    if (head === null) throw this.#corrupt("the first line is none of ours");
    if (Number(head[1]) !== formatVersion) throw this.#corrupt(`format version ${head[1]} is not known`);
    const body = content.subarray(end + 1);
    if (sha256(body) !== head[2]) throw this.#corrupt("the checksum does not match");
    const stored = parseBody(body.toString("utf8"));
    return stored ?? this.#refuse("a field is missing or of the wrong type");
  }

  #refuse(what: string): never {
    throw this.#corrupt(what);
  }

  #corrupt(what: string): CtrlmeshError {
    const hint = "nothing to do: the manager sends a new one";
    return new CtrlmeshError("SNAPSHOT_FILE_CORRUPT", { what, where: this.path, hint });
  }
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function parseBody(text: string): (StoredSnapshot & { readonly podUid: string }) | undefined {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof body !== "object" || body === null) return undefined;
  if (!("podUid" in body && "snapshot" in body && "floors" in body)) return undefined;
  const { podUid, snapshot, floors } = body;
  if (typeof podUid !== "string" || typeof snapshot !== "string") return undefined;
  return { podUid, snapshot: Buffer.from(snapshot, "base64"), floors };
}
