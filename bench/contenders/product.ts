import { spawnSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { proxyProcess } from "../../build/proxy-process.ts";
import { ContenderProcess, freePort, type StartTimes } from "../contender-process.ts";
import type { TestBed } from "../test-bed.ts";
import { BenchManager } from "./bench-manager.ts";
import type { Contender, Protocol, RunningContender, StartOptions } from "./contender.ts";

const bundler = fileURLToPath(new URL("../../build/bundle-proxy.ts", import.meta.url));

/**
 * The real `ctrlmesh proxy` with all that it does in a pod: bundled, health and metrics served, control stream
 * connected, snapshot with a limit and a fence in force and on its disk.
 */
export class Product implements Contender, AsyncDisposable {
  readonly name = "product";
  readonly rewrites = true;
  readonly protocols: readonly Protocol[];
  readonly #manager: BenchManager;
  readonly #bundle: string;
  /** State of a proxy that has run before. */
  readonly #storedState: string;

  private constructor(
    manager: BenchManager,
    bundle: string,
    storedState: string,
    protocols: readonly Protocol[],
  ) {
    this.#manager = manager;
    this.#bundle = bundle;
    this.#storedState = storedState;
    this.protocols = protocols;
  }

  /** Bundles it, lets it run once to have a stored snapshot, and asks which protocols it speaks. */
  static async create(bed: TestBed): Promise<Product> {
    const bundle = bed.path("proxy.cjs");
    const { status, stderr } = spawnSync(process.execPath, [bundler, `--outfile=${bundle}`]);
    if (status !== 0) throw new Error(`the proxy can't be bundled: ${stderr}`);
    const manager = await BenchManager.listen(bed.authority);
    const state = bed.makeFolder("product");
    const once = new Product(manager, bundle, state, []);
    await using running = await once.#startIn(bed, state, { protocol: "http1", isFirstStart: true });
    const protocols: readonly Protocol[] = (await negotiatesHttp2(running.port, bed))
      ? ["http1", "http2"]
      : ["http1"];
    return new Product(manager, bundle, join(state, "state"), protocols);
  }

  readonly leftOut = () => undefined;

  async start(bed: TestBed, options: StartOptions): Promise<RunningContender> {
    const folder = bed.makeFolder("product");
    if (options.isFirstStart !== true) cpSync(this.#storedState, join(folder, "state"), { recursive: true });
    return this.#startIn(bed, folder, options);
  }

  async #startIn(bed: TestBed, folder: string, { isFirstStart }: StartOptions): Promise<RunningContender> {
    const [port, adminPort] = [await freePort(), await freePort()];
    const token = join(folder, "token");
    writeFileSync(token, "bench-token", { mode: 0o600 });
    const env = {
      ...proxyProcess.environment,
      POD_NAME: "bench-0",
      POD_NAMESPACE: "own",
      POD_UID: "uid-1",
      POD_IP: "127.0.0.1",
      CTRLMESH_APISERVER_PORT: String(port),
      CTRLMESH_ADMIN_PORT: String(adminPort),
      CTRLMESH_MANAGER_ADDRESS: `127.0.0.1:${this.#manager.port}`,
      CTRLMESH_CA_FILE: bed.path("ca.crt"),
      CTRLMESH_CONTROL_TOKEN_FILE: token,
      CTRLMESH_UPSTREAM: `127.0.0.1:${bed.upstreamPort}`,
      CTRLMESH_UPSTREAM_CA_FILE: bed.path("ca.crt"),
      CTRLMESH_SERVICE_ACCOUNT_TOKEN_FILE: token,
      CTRLMESH_STATE_DIR: join(folder, "state"),
    };
    const granted = this.#manager.grantNext(isFirstStart === true);
    const argv = [process.execPath, ...proxyProcess.nodeFlags, this.#bundle, "proxy"];
    const running = await ContenderProcess.start({ argv, port, env });
    const ready = await untilReady(running, adminPort);
    await granted;
    // Later starts begin with what this one has on its disk.
    const stored = ["snapshot", "serving.pem"].map((file) => join(folder, "state", file));
    await running.until(async () => stored.every((file) => existsSync(file)), "the product stores no state");
    return {
      port,
      pid: running.pid,
      listening: running.listening,
      ready,
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#manager[Symbol.asyncDispose]();
  }
}

function untilReady(running: ContenderProcess, adminPort: number): Promise<StartTimes> {
  const url = `http://127.0.0.1:${adminPort}/readyz`;
  const isReady = async () => (await fetch(url).catch(() => undefined))?.status === 200;
  return running.until(isReady, "the product is not ready");
}

async function negotiatesHttp2(port: number, bed: TestBed): Promise<boolean> {
  const ca = bed.authority.certificatePem;
  const socket = connect({ port, host: "127.0.0.1", ca, ALPNProtocols: ["h2", "http/1.1"] });
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  socket.once("secureConnect", () => resolve(socket.alpnProtocol === "h2"));
  socket.once("error", reject);
  const isHttp2 = await promise;
  socket.destroy();
  return isHttp2;
}
