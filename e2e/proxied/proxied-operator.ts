import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";

const cli = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const account = "system:serviceaccount:op:operator";
const deadlineMs = 15_000;
/** For one answer to its end: a watch that should have been ended fails its test. */
const answerMs = 20_000;

export interface ProxiedOperatorOptions {
  readonly plane: ControlPlane;
  readonly managerPort: number;
  /** PEM of the authority of the manager's certificate and of the proxy's. */
  readonly meshCaPem: string;
  /** host:port that the proxy takes for its API server; by default the control plane's. */
  readonly upstream?: string;
  /** More variables of the proxy's environment, and arguments of Node in front of the program. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly nodeArguments?: readonly string[];
}

/** An answer read to its end. */
export interface RawAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** An operator's service account with its proxy, which runs as a process and may be killed and started again. */
export class ProxiedOperator implements AsyncDisposable {
  readonly kubectl: Kubectl;
  readonly #options: ProxiedOperatorOptions;
  readonly #ports: { readonly apiserver: number; readonly admin: number };
  readonly #token: string;
  readonly #agent: Agent;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(
    options: ProxiedOperatorOptions,
    ports: { readonly apiserver: number; readonly admin: number },
    token: string,
  ) {
    this.#options = options;
    this.#ports = ports;
    this.#token = token;
    this.#agent = new Agent({ ca: options.meshCaPem, keepAlive: true });
    this.kubectl = kubectl(this.#writeFiles());
  }

  /** Makes namespace and account; the proxy is not started yet. */
  static async create(options: ProxiedOperatorOptions): Promise<ProxiedOperator> {
    const admin = kubectl(options.plane.kubeconfig);
    await admin.ok(["create", "namespace", "op"]);
    await admin.ok(["create", "serviceaccount", "operator", "-n", "op"]);
    const binding = ["create", "clusterrolebinding", "operator", "--clusterrole=cluster-admin"];
    await admin.ok([...binding, "--serviceaccount=op:operator"]);
    const token = (await admin.ok(["create", "token", "operator", "-n", "op"])).trim();
    const ports = { apiserver: await freePort(), admin: await freePort() };
    return new ProxiedOperator(options, ports, token);
  }

  /** Resident memory of the proxy in MiB: now, or the peak since it started. */
  memoryMiB(kind: "now" | "peak"): number {
    const status = readFileSync(`/proc/${this.#process?.pid}/status`, "latin1");
    return Number(new RegExp(`${kind === "now" ? "VmRSS" : "VmHWM"}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  }

  start(): void {
    const { plane, managerPort, upstream, environment, nodeArguments = [] } = this.#options;
    const file = (name: string) => join(plane.directory, name);
    const child = spawn(process.execPath, [...nodeArguments, cli, "proxy"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        POD_NAME: "op-0",
        POD_NAMESPACE: "op",
        POD_UID: "uid-1",
        CTRLMESH_APISERVER_PORT: String(this.#ports.apiserver),
        CTRLMESH_ADMIN_PORT: String(this.#ports.admin),
        CTRLMESH_MANAGER_ADDRESS: `127.0.0.1:${managerPort}`,
        CTRLMESH_UPSTREAM: upstream ?? new URL(plane.url).host,
        CTRLMESH_CA_FILE: file("mesh-ca.crt"),
        CTRLMESH_CONTROL_TOKEN_FILE: file("operator-token"),
        CTRLMESH_UPSTREAM_CA_FILE: file("ca.crt"),
        CTRLMESH_SERVICE_ACCOUNT_TOKEN_FILE: file("operator-token"),
        CTRLMESH_STATE_DIR: file("proxy-state"),
        ...environment,
      },
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
    this.#process = child;
  }

  /** Where clients reach the proxy, and what they send as bearer token. */
  get endpoint(): { readonly port: number; readonly adminPort: number; readonly token: string } {
    return { port: this.#ports.apiserver, adminPort: this.#ports.admin, token: this.#token };
  }

  /** Of the running proxy, for its memory and descriptors. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async untilReady(): Promise<void> {
    const url = `http://127.0.0.1:${this.#ports.admin}/readyz`;
    await eventually(
      async () => (await fetch(url).catch(() => undefined))?.status === 200,
      () => `the proxy is not ready: ${this.#log}`,
    );
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Asks the proxy in the operator's name; resolves at the head of the answer. */
  async open(target: string, headers: Record<string, string> = {}, method = "GET"): Promise<IncomingMessage> {
    const call = request({
      host: "127.0.0.1",
      port: this.#ports.apiserver,
      path: target,
      method,
      headers: { authorization: `Bearer ${this.#token}`, ...headers },
      agent: this.#agent,
      signal: AbortSignal.timeout(answerMs),
    }).end();
    const [answer]: IncomingMessage[] = await once(call, "response");
    if (answer === undefined) throw new Error("no answer");
    answer.on("error", () => undefined);
    return answer;
  }

  async ask(target: string, headers: Record<string, string> = {}, method = "GET"): Promise<RawAnswer> {
    const answer = await this.open(target, headers, method);
    return { status: answer.statusCode ?? 0, body: Buffer.concat(await answer.toArray()) };
  }

  /** What reached the API server in the operator's name as list, watch or deletecollection, floor reads too. */
  reads(): { readonly verb: string; readonly target: string }[] {
    return this.#options.plane.auditEvents().flatMap((event) => {
      if (typeof event !== "object" || event === null) return [];
      const { verb, requestURI, user } = event as Record<string, unknown>;
      const isOperator =
        typeof user === "object" && user !== null && "username" in user && user.username === account;
      if (!isOperator) return [];
      const isView = verb === "list" || verb === "watch" || verb === "deletecollection";
      return isView ? [{ verb: String(verb), target: String(requestURI) }] : [];
    });
  }

  /** @returns path of the operator's kubeconfig */
  #writeFiles(): string {
    const { plane, meshCaPem } = this.#options;
    const file = (name: string) => join(plane.directory, name);
    const server = `https://127.0.0.1:${this.#ports.apiserver}`;
    const ca = Buffer.from(meshCaPem).toString("base64");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "op",
      clusters: [{ name: "op", cluster: { server, "certificate-authority-data": ca } }],
      users: [{ name: "op", user: { token: this.#token } }],
      contexts: [{ name: "op", context: { cluster: "op", user: "op" } }],
    };
    writeFileSync(file("mesh-ca.crt"), meshCaPem);
    writeFileSync(file("operator-token"), this.#token, { mode: 0o600 });
    writeFileSync(file("op.kubeconfig"), JSON.stringify(config), { mode: 0o600 });
    return file("op.kubeconfig");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.kill();
  }
}

/** Waits until `isTrue` holds; `missing` says what did not come. */
export async function eventually(
  isTrue: () => boolean | Promise<boolean>,
  missing: () => string,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${missing()} (within ${deadlineMs} ms)`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that was free a moment ago: it must stay the same over restarts of the proxy. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
