import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { freePorts } from "./manager-process.ts";
import { root } from "./mesh.ts";
import { RawClient } from "./raw-client.ts";

export interface ProxyOptions {
  /** Folder of its own, for state and credentials; what is in `state` stays. */
  readonly folder: string;
  readonly pod: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly managerPort: number;
  /** PEM of the authority that signed the manager's certificate. */
  readonly meshCa: string;
  /** Token of the control stream; undefined: no file. */
  readonly controlToken: string | undefined;
  readonly apiServer: { readonly port: number; readonly ca: string };
  /** Token for the proxy's own reads. */
  readonly upstreamToken: string;
}

/** A proxy as a process that no injection made: the test says what it is and what it knows. */
export class ProxyProcess implements AsyncDisposable {
  readonly apiserverPort: number;
  readonly adminPort: number;
  readonly stateFolder: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #log = "";

  private constructor(child: ChildProcess, ports: readonly number[], stateFolder: string) {
    this.#child = child;
    this.#ended = once(child, "exit");
    [this.apiserverPort = 0, this.adminPort = 0] = ports;
    this.stateFolder = stateFolder;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#log += chunk;
    });
  }

  static async start(options: ProxyOptions): Promise<ProxyProcess> {
    const { folder, pod, apiServer } = options;
    const stateFolder = join(folder, "state");
    mkdirSync(stateFolder, { recursive: true });
    const files = {
      "mesh-ca.crt": options.meshCa,
      "control-token": options.controlToken,
      "cluster-ca.crt": apiServer.ca,
      "upstream-token": options.upstreamToken,
    };
    for (const [name, text] of Object.entries(files)) {
      if (text !== undefined) writeFileSync(join(folder, name), text);
    }
    const ports = await freePorts(2);
    const child = spawn(process.execPath, [join(root, "cli/main.ts"), "proxy", "--drain-timeout=1s"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        POD_NAME: pod.name,
        POD_NAMESPACE: pod.namespace,
        POD_UID: pod.uid,
        POD_IP: "127.0.0.1",
        CTRLMESH_APISERVER_PORT: String(ports[0]),
        CTRLMESH_ADMIN_PORT: String(ports[1]),
        CTRLMESH_MANAGER_ADDRESS: `127.0.0.1:${options.managerPort}`,
        CTRLMESH_CA_FILE: join(folder, "mesh-ca.crt"),
        CTRLMESH_CONTROL_TOKEN_FILE: join(folder, "control-token"),
        CTRLMESH_STATE_DIR: stateFolder,
        CTRLMESH_UPSTREAM: `127.0.0.1:${apiServer.port}`,
        CTRLMESH_UPSTREAM_CA_FILE: join(folder, "cluster-ca.crt"),
        CTRLMESH_SERVICE_ACCOUNT_TOKEN_FILE: join(folder, "upstream-token"),
      },
    });
    return new ProxyProcess(child, ports, stateFolder);
  }

  /** Whether a snapshot is on its disk. */
  get hasStoredSnapshot(): boolean {
    return existsSync(join(this.stateFolder, "snapshot"));
  }

  log(): string {
    return this.#log;
  }

  /** The page /readyz; status 0 before anything answers. */
  async readiness(): Promise<{ readonly status: number; readonly text: string }> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`);
      return { status: answer.status, text: await answer.text() };
    } catch {
      return { status: 0, text: "" };
    }
  }

  async untilReady(): Promise<void> {
    await eventually("the proxy is ready", async () => (await this.readiness()).status === 200, {
      detail: () => this.#log,
    });
  }

  /** A sample of its metrics without labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)).text();
    return Number(new RegExp(`^ctrlmesh_proxy_${name} (\\S+)$`, "m").exec(text)?.[1]);
  }

  /** A client of its listener for the operator. */
  client(ca: string, token: string): RawClient {
    return new RawClient({ host: "127.0.0.1", port: this.apiserverPort, ca, token });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
