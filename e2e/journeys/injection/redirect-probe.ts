import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { ports, proxyUid } from "#api/ports";

/**
 * Runs inside a network namespace of its own (`unshare --net`), where it is the pod: it puts up addresses and
 * listeners, lets `ctrlmesh init` make the rules, dials, and prints what answered as JSON. Its one argument is
 * the backend.
 */

const cli = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));

/** Addresses of the pod's own interface, so that what is not redirected finds a listener too. */
export const addresses = {
  service4: "10.96.0.1",
  other4: "10.96.0.2",
  service6: "fd00:10:96::1",
  other6: "fd00:10:96::2",
} as const;

const otherMeshPort = 15_001;

/** A dial: who, from "operator" (root) or "proxy" (UID 1359), where. */
export type Dial = readonly ["operator" | "proxy", string, number];
export const dials: readonly Dial[] = (
  [
    [addresses.service4, addresses.other4],
    [addresses.service6, addresses.other6],
  ] as const
).flatMap(([service, other]): Dial[] => [
  ["operator", service, 443],
  ["proxy", service, 443],
  ["operator", service, 8443],
  ["operator", other, 443],
]);

export interface ProbeResult {
  /** What answered each of `dials`: before the rules, with them, and after their removal. */
  readonly before: readonly string[];
  readonly redirected: readonly string[];
  readonly removed: readonly string[];
  /** Table nat of both families: before, after one run, after a second one, after removal. */
  readonly rules: readonly string[];
  /** Standard output of the first run. */
  readonly told: string;
  /** A run without the capability. */
  readonly powerless: { readonly exitCode: number | null; readonly stderr: string };
}

function ip(line: string): void {
  execFileSync("ip", line.split(" "));
}

async function listen(host: string, port: number, answer: string): Promise<Disposable> {
  const server = createServer((socket) => socket.end(answer));
  server.listen({ host, port, ipv6Only: host.includes(":") });
  await once(server, "listening");
  return { [Symbol.dispose]: () => server.close() };
}

async function answerTo([who, host, port]: Dial): Promise<string> {
  const uid = who === "proxy" ? proxyUid : 0;
  const dial = spawn("bash", ["-c", 'exec 3<>"/dev/tcp/$0/$1" && cat <&3', host, String(port)], { uid });
  const [answer, complaint] = await Promise.all([text(dial.stdout), text(dial.stderr), once(dial, "close")]);
  return answer === "" ? complaint : answer;
}

async function answers(): Promise<string[]> {
  return await Promise.all(dials.map(answerTo));
}

/** Runs `ctrlmesh init` with no more than these capabilities, as the injected container does. */
function init(capabilities: readonly string[], args: readonly string[]) {
  const bounding = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  const command = [process.execPath, cli, "init", "--iptables-backend", backend, ...args];
  const env = { ...process.env, KUBERNETES_SERVICE_HOST: addresses.service4, KUBERNETES_SERVICE_PORT: "443" };
  return spawnSync("setpriv", ["--bounding-set", bounding, "--inh-caps", bounding, ...command], {
    encoding: "utf8",
    env,
  });
}

function succeed({ status, stdout, stderr }: ReturnType<typeof init>): string {
  if (status !== 0) throw new Error(`ctrlmesh init ended with ${status}: ${stderr}`);
  return stdout;
}

function rules(): string {
  return ["iptables", "ip6tables"]
    .map((family) => execFileSync(`${family}-${backend}`, ["-t", "nat", "-S"], { encoding: "utf8" }))
    .join("");
}

/** Somebody else's redirect, which was there before and takes all that the operator sends to port 443. */
function otherMesh(): void {
  for (const family of ["iptables", "ip6tables"]) {
    const match = `-p tcp --dport 443 -m owner ! --uid-owner ${proxyUid}`;
    const rule = `-t nat -A OUTPUT ${match} -j REDIRECT --to-ports ${otherMeshPort}`;
    execFileSync(`${family}-${backend}`, rule.split(" "));
  }
}

const backend = process.argv[2] ?? "nft";
const needed = backend === "legacy" ? ["net_admin", "net_raw"] : ["net_admin"];

async function probe(): Promise<ProbeResult> {
  ip("link set lo up");
  ip("link add eth0 type veth peer name host0");
  ip("link set eth0 up");
  for (const address of Object.values(addresses)) {
    ip(address.includes(":") ? `addr add ${address}/128 dev eth0 nodad` : `addr add ${address}/32 dev eth0`);
  }
  using stack = new DisposableStack();
  for (const host of ["127.0.0.1", "::1"]) {
    stack.use(await listen(host, ports.proxyApiserver, "proxy"));
    stack.use(await listen(host, otherMeshPort, "other mesh"));
  }
  for (const host of Object.values(addresses)) {
    for (const port of [443, 8443]) stack.use(await listen(host, port, "API server"));
  }
  otherMesh();
  const before = await answers();
  const powerless = init([], ["--api-server", `[${addresses.service6}]:443`]);
  const untouched = rules();
  const told = succeed(init(needed, ["--api-server", `[${addresses.service6}]:443`]));
  const once = rules();
  const redirected = await answers();
  succeed(init(needed, ["--api-server", `[${addresses.service6}]:443`]));
  const twice = rules();
  succeed(init(needed, ["--remove"]));
  const removed = await answers();
  return {
    before,
    redirected,
    removed,
    rules: [untouched, once, twice, rules()],
    told,
    powerless: { exitCode: powerless.status, stderr: powerless.stderr },
  };
}

if (import.meta.main) process.stdout.write(JSON.stringify(await probe()));
