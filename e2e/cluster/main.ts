import { once } from "node:events";
import { toCtrlmeshError } from "#api/errors";
import { buildControlPlane } from "./build.ts";
import { startControlPlane } from "./control-plane.ts";
import { missingBinaries } from "./versions.ts";

const usage = `npm run cluster -- build    build etcd, kube-apiserver, kube-controller-manager and kubectl (once)
npm run cluster -- missing  list what is not built yet; exit 1 when something is missing
npm run cluster -- start    boot a control plane, print its kubeconfig, stop on Ctrl-C`;

async function run(command: string | undefined): Promise<number> {
  switch (command) {
    case "build":
      buildControlPlane((line) => console.error(line));
      return 0;
    case "missing": {
      const missing = missingBinaries();
      for (const path of missing) console.log(path);
      return missing.length === 0 ? 0 : 1;
    }
    case "start": {
      await using plane = await startControlPlane({ controllerManager: true });
      console.log(plane.kubeconfig);
      await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
      return 0;
    }
    default:
      console.error(usage);
      return 2;
  }
}

try {
  process.exitCode = await run(process.argv[2]);
} catch (error) {
  console.error(toCtrlmeshError(error).message);
  process.exitCode = 1;
}
