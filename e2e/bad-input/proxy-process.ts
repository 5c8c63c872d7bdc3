import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { CtrlmeshError } from "#api/errors";
import { type Authority, issueCertificate } from "#runtime/x509";

const cli = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** Key and certificate as the proxy keeps them on its volume. */
export async function servingPem(authority: Authority): Promise<string> {
  const issued = await issueCertificate(authority, {
    commonName: "proxy",
    dnsNames: ["kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1"],
    days: 7,
    usage: "server",
  });
  return `${issued.privateKeyPem}${issued.certificatePem}`;
}

export interface ProxyProcessOptions {
  readonly authority: Authority;
  readonly managerPort: number;
  /** What stands in the file of its key and certificate. */
  readonly servingFile: string;
}

/** A real proxy process; its API server does not exist, since bad input must not get that far. */
export class ProxyProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #port: number;
  readonly #caPem: string;
  #log = "";

  private constructor(child: ChildProcess, folder: string, port: number, caPem: string) {
    this.#child = child;
    this.#folder = folder;
    this.#port = port;
    this.#caPem = caPem;
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#log += chunk;
      child.emit("log");
    });
    child.on("exit", () => child.emit("log"));
  }

  static async start({ authority, managerPort, servingFile }: ProxyProcessOptions): Promise<ProxyProcess> {
    const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-bad-input-"));
    const file = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    };
    mkdirSync(join(folder, "state"));
    file("state/serving.pem", servingFile);
    const [port, adminPort] = [await freePort(), await freePort()];
    const ca = file("ca.crt", authority.certificatePem);
    const token = file("token", "token");
    const child = spawn(process.execPath, [cli, "proxy", "--drain-timeout=0s"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        POD_NAME: "op-0",
        POD_NAMESPACE: "team",
        POD_UID: "uid-1",
        POD_IP: "127.0.0.1",
        CTRLMESH_APISERVER_PORT: String(port),
        CTRLMESH_ADMIN_PORT: String(adminPort),
        CTRLMESH_MANAGER_ADDRESS: `127.0.0.1:${managerPort}`,
        CTRLMESH_UPSTREAM: "127.0.0.1:1",
        CTRLMESH_CA_FILE: ca,
        CTRLMESH_CONTROL_TOKEN_FILE: token,
        CTRLMESH_UPSTREAM_CA_FILE: ca,
        CTRLMESH_SERVICE_ACCOUNT_TOKEN_FILE: token,
        CTRLMESH_STATE_DIR: join(folder, "state"),
      },
    });
    return new ProxyProcess(child, folder, port, authority.certificatePem);
  }

  /** The first log line that matches, parsed. */
  async logLine(pattern: RegExp): Promise<Record<string, unknown>> {
    const signal = AbortSignal.timeout(20_000);
    for (;;) {
      const line = this.#log.split("\n").find((each) => pattern.test(each));
      if (line !== undefined) return JSON.parse(line);
      if (this.#child.exitCode !== null || signal.aborted)
        throw new CtrlmeshError("TIMEOUT", { what: `${pattern} is not in the log: ${this.#log}` });
      await Promise.race([once(this.#child, "log"), once(signal, "abort")]);
    }
  }

  /** All that it answers to some bytes until it closes the connection. */
  async answerTo(bytes: string): Promise<string> {
    const socket = connect({ host: "127.0.0.1", port: this.#port, ca: this.#caPem });
    socket.setTimeout(10_000, () => socket.destroy(new Error("the proxy keeps the connection open")));
    socket.write(bytes, "latin1");
    return (await socket.toArray()).join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A port that was free a moment ago: the process must be found under it from outside. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}
