import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type TLSSocket } from "node:tls";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { createDataPlaneCounters } from "#proxy/apiserver/counters";
import { FloorTable } from "#proxy/apiserver/floor";
import { decide } from "#proxy/apiserver/pipeline";
import { createApiserverProxy } from "#proxy/apiserver/server";
import { createIdentity, type RawIdentity } from "#proxy/http1/raw-peers";
import { compileSnapshot } from "#proxy/snapshot";
import { systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";

/**
 * What the data plane costs: CPU time per 1 KiB GET and per MB of 2 MB lists, rates against no proxy, memory.
 * TLS on both sides, 8 clients that each wait for their answer. Rounds of all targets are interleaved.
 *
 * `node bench/proxy-get.ts [--rounds 5] [--seconds 2] [--against NAME=PORT:PID] [--upstream-port PORT]`;
 * `--against` measures another proxy that runs already before the given upstream port.
 */

const clients = 8;
/** Of the kernel: /proc/PID/stat counts in units of 10 ms. */
const tickMs = 10;

interface Target {
  readonly name: string;
  readonly port: number;
  /** Undefined: no proxy. */
  readonly pid: number | undefined;
}

interface Figures {
  readonly rate: number;
  readonly cpuMs: number;
}

const small = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n${"x".repeat(1024)}`);
const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
const large = Buffer.from(
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(128)}0\r\n\r\n`,
);

async function runUpstream(identity: RawIdentity, port: number): Promise<void> {
  const server = createServer({ key: identity.privateKeyPem, cert: identity.certificatePem }, (socket) => {
    let kept = "";
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes: Buffer) => {
      kept += bytes.toString("latin1");
      for (let end = kept.indexOf("\r\n\r\n"); end >= 0; end = kept.indexOf("\r\n\r\n")) {
        socket.write(kept.startsWith("GET /api/v1/pods") ? large : small);
        kept = kept.slice(end + 4);
      }
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  report(server.address());
}

async function runProxy(identity: RawIdentity, upstreamPort: number): Promise<void> {
  const limits = [{ groups: [""], resources: ["pods"], selector: "team=a" }];
  const fence = { buckets: [1, 2, 3] };
  const proxy = await createApiserverProxy({
    listen: { host: "127.0.0.1", port: 0 },
    upstream: { host: "127.0.0.1", port: upstreamPort, servername: "127.0.0.1", ca: () => identity.caPem },
    identity: { privateKeyPem: identity.privateKeyPem, certificateChainPem: identity.certificatePem },
    snapshot: compileSnapshot(
      create(SnapshotSchema, {
        id: { term: 1n, revision: 1n },
        shard: "bench",
        grant: Grant.GRANTED,
        hash: HashFunction.MURMUR3,
        limits,
        fence,
        epoch: 1n,
      }),
    ),
    floors: new FloorTable({
      read: () => Promise.resolve({ kind: "known", resourceVersion: "1" }),
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      signal: new AbortController().signal,
      onKnown: () => undefined,
    }),
    decide,
    clock: systemClock,
    log: silentLog,
    counters: createDataPlaneCounters(),
    random: Math.random,
  });
  report(proxy.address);
}

function report(address: unknown): void {
  process.once("disconnect", () => process.exit());
  process.send?.(address);
}

/** Asks again and again until `seconds` are over; resolves with the number of answers. */
async function ask(port: number, path: string, answerBytes: number, seconds: number): Promise<number> {
  const socket: TLSSocket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  socket.setNoDelay(true);
  const request = `GET ${path} HTTP/1.1\r\nHost: api\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer ${"t".repeat(900)}\r\n\r\n`;
  const end = performance.now() + seconds * 1000;
  let answers = 0;
  let left = answerBytes;
  socket.on("data", (bytes: Buffer) => {
    left -= bytes.length;
    if (left > 0) return;
    answers++;
    left = answerBytes;
    if (performance.now() < end) socket.write(request);
    else socket.end();
  });
  socket.write(request);
  await once(socket, "close");
  return answers;
}

async function measure(target: Target, path: string, answerBytes: number, seconds: number): Promise<Figures> {
  const before = cpuMsOf(target.pid);
  const started = performance.now();
  const answers = await Promise.all(
    Array.from({ length: clients }, () => ask(target.port, path, answerBytes, seconds)),
  );
  const total = answers.reduce((sum, count) => sum + count, 0);
  const elapsed = (performance.now() - started) / 1000;
  return { rate: total / elapsed, cpuMs: (cpuMsOf(target.pid) - before) / total };
}

function cpuMsOf(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Peak of the resident set since the start. */
function peakMiBOf(pid: number): number {
  const line = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(line?.[1] ?? 0) / 1024;
}

const spread = (values: readonly number[]): readonly [min: number, median: number, max: number] => {
  const sorted = [...values].sort((left, right) => left - right);
  return [sorted[0] ?? 0, sorted[Math.floor(sorted.length / 2)] ?? 0, sorted[sorted.length - 1] ?? 0];
};

const shown = (values: readonly number[], digits = 2): string => {
  const [min, median, max] = spread(values).map((value) => value.toFixed(digits));
  return `${median} [${min}-${max}]`;
};

async function start(
  role: string,
  ...args: readonly string[]
): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(import.meta.filename, ["--role", role, ...args], {
    env: { ...process.env, BENCH_IDENTITY: JSON.stringify(await identity) },
    execArgv: ["--max-semi-space-size=1"],
  });
  const [address] = await once(child, "message");
  return { child, port: Number(address.port) };
}

async function main(): Promise<void> {
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const upstream = await start("upstream", "--upstream-port", values["upstream-port"]);
  const proxy = await start("proxy", "--upstream-port", String(upstream.port));
  const targets: Target[] = [
    { name: "direct", port: upstream.port, pid: undefined },
    { name: "ctrlmesh", port: proxy.port, pid: proxy.child.pid },
  ];
  for (const other of values.against) {
    const [name = "", place = ""] = other.split("=");
    const [port, pid] = place.split(":");
    targets.push({ name, port: Number(port), pid: Number(pid) });
  }
  const cases = [
    ["get-1k", "/api/v1/namespaces/a/pods/p", small.length, 1],
    ["list-2m", "/api/v1/pods", large.length, large.length / 1e6],
  ] as const;
  for (const [name, path, bytes, units] of cases) {
    const figures = new Map<string, Figures[]>(targets.map((target) => [target.name, []]));
    for (const target of targets) await measure(target, path, bytes, 0.5);
    for (let round = 0; round < rounds; round++) {
      for (const target of targets)
        figures.get(target.name)?.push(await measure(target, path, bytes, seconds));
    }
    const direct = figures.get("direct") ?? [];
    const [, directRate] = spread(direct.map(({ rate }) => rate));
    for (const { name: target, pid } of targets) {
      const own = figures.get(target) ?? [];
      const cpu = own.map(({ cpuMs }) => (cpuMs * 1000) / units);
      const unit = units === 1 ? "us/request" : "us/MB";
      console.log(
        `${name} ${target.padEnd(10)} rate/direct ${shown(own.map(({ rate }) => rate / directRate))}` +
          (pid === undefined
            ? ` (${directRate.toFixed(0)}/s)`
            : `  cpu ${shown(cpu, 0)} ${unit}  peak ${peakMiBOf(pid).toFixed(0)} MiB`),
      );
    }
  }
  for (const { child } of [upstream, proxy]) child.kill();
}

const { values } = parseArgs({
  options: {
    role: { type: "string", default: "load" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    against: { type: "string", multiple: true, default: [] },
    "upstream-port": { type: "string", default: "0" },
  },
});
const identity: Promise<RawIdentity> =
  values.role === "load" ? createIdentity() : Promise.resolve(JSON.parse(process.env.BENCH_IDENTITY ?? "{}"));

if (values.role === "upstream") await runUpstream(await identity, Number(values["upstream-port"]));
else if (values.role === "proxy") await runProxy(await identity, Number(values["upstream-port"]));
else await main();
