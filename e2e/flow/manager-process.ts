import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const readyzTimeoutMs = 1_000;

export interface ManagerOptions {
  readonly name: string;
  readonly kubeconfig: string;
  readonly folder: string;
  /** Address that proxies dial; default: this manager's own. */
  readonly proxyManagerAddress?: string;
  readonly extraArgs?: readonly string[];
}

/** One manager as a process of its own, which a test starts, kills, stops and continues. Ports stay the same. */
export class ManagerProcess implements AsyncDisposable {
  readonly controlPort: number;
  readonly webhookPort: number;
  readonly httpPort: number;
  readonly #options: ManagerOptions;
  readonly #logFile: string;
  #child: ChildProcess | undefined;

  private constructor(options: ManagerOptions, ports: readonly number[]) {
    const [controlPort = 0, webhookPort = 0, httpPort = 0] = ports;
    this.controlPort = controlPort;
    this.webhookPort = webhookPort;
    this.httpPort = httpPort;
    this.#options = options;
    this.#logFile = join(options.folder, `${options.name}.log`);
  }

  static async create(options: ManagerOptions): Promise<ManagerProcess> {
    return new ManagerProcess(options, await freePorts(3));
  }

  /** Starts it and waits until it says ready. */
  async start(): Promise<void> {
    const { name, kubeconfig, proxyManagerAddress, extraArgs = [] } = this.#options;
    this.#child = spawn(
      process.execPath,
      [
        join(root, "cli/main.ts"),
        "manager",
        `--kubeconfig=${kubeconfig}`,
        "--namespace=ctrlmesh",
        `--pod-name=${name}`,
        "--pod-ip=127.0.0.1",
        "--listen-host=127.0.0.1",
        `--grpc-leader-election-port=${this.controlPort}`,
        `--webhook-port=${this.webhookPort}`,
        "--webhook-host=127.0.0.1",
        `--http-bind-port=${this.httpPort}`,
        `--proxy-manager-address=${proxyManagerAddress ?? `localhost:${this.controlPort}`}`,
        "--kubernetes-service-ip=127.0.0.1",
        ...extraArgs,
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const keep = (chunk: Buffer): void => appendFileSync(this.#logFile, chunk);
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    await eventually(`manager ${name} is ready`, () => this.isReady(), {
      detail: () => this.log().slice(-2000),
    });
  }

  async isReady(): Promise<boolean> {
    if (this.#child === undefined || this.#child.exitCode !== null) return false;
    try {
      const signal = AbortSignal.timeout(readyzTimeoutMs);
      return (await fetch(`http://127.0.0.1:${this.httpPort}/readyz`, { signal })).ok;
    } catch {
      return false; // not listening yet, or frozen
    }
  }

  async metrics(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.httpPort}/metrics`)).text();
  }

  log(): string {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile, "utf8") : "";
  }

  /** Sends a signal: SIGSTOP and SIGCONT freeze and thaw it. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGKILL also ends one that a test has frozen.
    await this.stop("SIGKILL");
  }
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    ports.push(typeof address === "object" && address !== null ? address.port : 0);
  }
  for (const server of servers) server.close();
  return ports;
}
