import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";

const goFolder = fileURLToPath(new URL("go", import.meta.url));
const goPrograms = ["upstream", "load", "peer", "bare"] as const;

/** What the proxies that rewrite add to lists and watches of pods. */
export const selector = "ctrlmesh.kusionstack.io/namespace in (ns-a,ns-b)";

/** Certificates, the Go programs and the running upstream: what every contender is measured with. */
export class TestBed implements AsyncDisposable {
  readonly folder: string;
  readonly authority: Authority;
  readonly upstreamPort: number;
  /** A gRPC server with a stream that stays open, for the peer in Go. */
  readonly controlPort: number;
  readonly #upstream: ChildProcess;

  private constructor(
    folder: string,
    authority: Authority,
    upstream: ChildProcess,
    ports: { readonly upstream: number; readonly control: number },
  ) {
    this.folder = folder;
    this.authority = authority;
    this.upstreamPort = ports.upstream;
    this.controlPort = ports.control;
    this.#upstream = upstream;
  }

  /** @throws when Go is missing or does not build */
  static async create(): Promise<TestBed> {
    const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-bench-"));
    const authority = await writeCertificates(folder);
    buildGoPrograms(folder);
    const files = ["-cert", join(folder, "tls.crt"), "-key", join(folder, "tls.key")];
    const upstream = spawn(join(folder, "upstream"), [...files, "-selector", selector], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line]: string[] = await once(createInterface(upstream.stdout), "line");
    const [, port, control] = /^listening (\d+) control (\d+)$/.exec(line ?? "") ?? [];
    return new TestBed(folder, authority, upstream, { upstream: Number(port), control: Number(control) });
  }

  /** PEM: tls.crt and tls.key of every server, both in tls.pem, ca.crt that signed them. */
  path(name: string): string {
    return join(this.folder, name);
  }

  /** A new folder for one process. */
  makeFolder(name: string): string {
    const path = mkdtempSync(join(this.folder, `${name}-`));
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Lists and watches that reached the upstream without the selector. */
  async violations(): Promise<number> {
    const { port, folder } = { port: this.upstreamPort, folder: this.folder };
    const ca = this.authority.certificatePem;
    const call = request({ host: "127.0.0.1", port, path: "/bench/counts", ca, agent: false }).end();
    const [answer] = await once(call, "response");
    const counts = await json(answer);
    if (typeof counts === "object" && counts !== null && "violations" in counts)
      return Number(counts.violations);
    throw new Error(`the upstream of ${folder} does not count`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#upstream, "exit");
    this.#upstream.kill();
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function writeCertificates(folder: string): Promise<Authority> {
  const authority = await createAuthority({ commonName: "bench", days: 2 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName: "bench server",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    days: 1,
    usage: "server",
  });
  const write = (name: string, pem: string) => writeFileSync(join(folder, name), pem, { mode: 0o600 });
  write("ca.crt", authority.certificatePem);
  write("tls.crt", certificatePem);
  write("tls.key", privateKeyPem);
  write("tls.pem", certificatePem + privateKeyPem);
  return authority;
}

function buildGoPrograms(folder: string): void {
  for (const name of goPrograms) {
    const argv = ["build", "-o", join(folder, name), `./${name}`];
    const { status, error } = spawnSync("go", argv, {
      cwd: goFolder,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (status !== 0)
      throw new Error(`go build ./${name} failed (Go 1.26 must be on PATH): ${error?.message ?? ""}`);
  }
}
