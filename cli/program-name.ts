import { basename } from "node:path";

/** How the user called us: `kubectl ctrlmesh` where kubectl ran us as its plugin, else `ctrlmesh`. */
export function programName(script = process.argv[1] ?? ""): string {
  return /^kubectl[-_]ctrlmesh(\.|$)/.test(basename(script)) ? "kubectl ctrlmesh" : "ctrlmesh";
}
