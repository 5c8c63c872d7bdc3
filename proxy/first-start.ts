import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";

/**
 * Whether no proxy of this pod has run before, so that nobody in it was ever shown anything. Told by a file that the
 * first one leaves on the pod's volume; where none can be left, the answer is no. A missing snapshot does not tell:
 * it is removed where it can't be replaced. The file need not outlive a crash of the machine, for neither do the
 * pod's processes.
 */
export async function isFirstStart(stateDirectory: string): Promise<boolean> {
  try {
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    await using _mark = await open(join(stateDirectory, "started"), "wx", 0o600);
    return true;
  } catch {
    return false;
  }
}
