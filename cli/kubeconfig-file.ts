import { copyFileSync } from "node:fs";
import { CtrlmeshError } from "#api/errors";

/**
 * Copies the administrator's kubeconfig to where `--kubeconfig-file` says.
 *
 * @throws INVALID_FLAG when nothing can be written there
 */
export function copyKubeconfig(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CtrlmeshError("INVALID_FLAG", {
      where: "--kubeconfig-file",
      what: `${JSON.stringify(to)} can't be written: ${reason}`,
      hint: "give the path of a file in a folder that exists",
      cause,
    });
  }
}
