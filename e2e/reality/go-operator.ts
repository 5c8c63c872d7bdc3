import { fileURLToPath } from "node:url";
import { goProgram } from "../cluster/go.ts";

const source = fileURLToPath(new URL("../../examples/operator-go", import.meta.url));

/**
 * Path of the Go operator's program, built when its source has changed. Cold: about 2 minutes on 2 cores.
 *
 * @throws CHILD_PROCESS_FAILED with the end of the compiler's output
 */
export function buildGoOperator(): string {
  return goProgram("operator-go", source);
}
