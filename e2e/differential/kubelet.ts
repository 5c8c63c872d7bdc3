import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ControlPlane } from "../cluster/control-plane.ts";
import { goProgram } from "../cluster/go.ts";
import { kubectl } from "../cluster/kubectl.ts";
import { eventually } from "../proxied/proxied-operator.ts";

const source = fileURLToPath(new URL("kubelet-go", import.meta.url));

/** The streaming endpoints of a kubelet as a process, with a node that points to it. */
export class Kubelet implements AsyncDisposable {
  readonly #child: ChildProcess;
  #said = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#said += text;
    });
  }

  /** Makes node "node" and, in namespace "op", the running pod "app" on it. @throws CHILD_PROCESS_FAILED */
  static async start(plane: ControlPlane): Promise<Kubelet> {
    const keys = ["apiserver.crt", "apiserver.key"].map((name) => join(plane.directory, name));
    const [certificate = "", key = ""] = keys;
    const args = ["--tls-cert-file", certificate, "--tls-private-key-file", key];
    const kubelet = new Kubelet(
      spawn(goProgram("kubelet-streams", source), args, { stdio: ["ignore", "pipe", "inherit"] }),
    );
    await kubelet.saidThat(/listening (\d+)/);
    const port = Number(/listening (\d+)/.exec(kubelet.#said)?.[1]);
    const admin = kubectl(plane.kubeconfig);
    await admin.ok(["create", "serviceaccount", "default", "-n", "op"]);
    await admin.ok(["create", "-f", "-"], JSON.stringify(node(port)));
    await admin.ok(["create", "-f", "-"], JSON.stringify(pod));
    // The API server takes neither status from a create.
    for (const [kind, object] of [
      ["node", node(port)],
      ["pod", pod],
    ] as const) {
      const { name } = object.metadata;
      const change = JSON.stringify({ status: object.status });
      await admin.ok(["patch", kind, name, "-n", "op", "--subresource=status", "--type=merge", "-p", change]);
    }
    return kubelet;
  }

  /** How many sessions have begun and not ended. */
  get openSessions(): number {
    const count = (word: string): number => this.#said.split(`${word} `).length - 1;
    return count("begin") - count("end");
  }

  async saidThat(pattern: RegExp): Promise<void> {
    await eventually(
      () => pattern.test(this.#said),
      () => `the kubelet did not say ${pattern}, but: ${this.#said}`,
    );
  }

  async noSessionLeft(): Promise<void> {
    await eventually(
      () => this.openSessions === 0,
      () => `${this.openSessions} sessions are left: ${this.#said}`,
    );
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

const node = (port: number) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node" },
  status: {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
  },
});

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "app", namespace: "op" },
  spec: {
    nodeName: "node",
    automountServiceAccountToken: false,
    containers: [{ name: "main", image: "none.test/none", stdin: true }],
  },
  status: { phase: "Running" },
};
