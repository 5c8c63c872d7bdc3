import { realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * `node operator-entrypoint.ts PROGRAM [argument...]`: becomes a program that is not Node in a pod of the pod
 * runner, which shows mounted volumes to Node processes only. What the program would read from the mounted service
 * account and from the two variables is written into a kubeconfig with the volume's real path; nothing else differs
 * from a real pod, and process id, signals and output stay the same.
 */

const [program = "", ...args] = process.argv.slice(2);
const account = realpathSync("/var/run/secrets/kubernetes.io/serviceaccount");
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
const kubeconfig = join(dirname(account), "operator.kubeconfig");
const config = {
  apiVersion: "v1",
  kind: "Config",
  "current-context": "pod",
  clusters: [
    {
      name: "pod",
      cluster: { server: `https://${host}:${port}`, "certificate-authority": join(account, "ca.crt") },
    },
  ],
  users: [{ name: "pod", user: { tokenFile: join(account, "token") } }],
  contexts: [{ name: "pod", context: { cluster: "pod", user: "pod" } }],
};
writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
if (process.execve === undefined) throw new Error("this Node can't become another program");
process.execve(program, [program, ...args], { ...process.env, KUBECONFIG: kubeconfig });
