import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { startControlPlane } from "../cluster/control-plane.ts";
import { kubernetesBinary, kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";
import { Kubelet } from "./kubelet.ts";
import { isRecord } from "./row.ts";
import { type Stage, setStage } from "./stage.ts";

/** kubectl exec, attach, port-forward and logs, directly and through the proxy, to a kubelet that speaks them. */

let stage: Stage;
let kubelet: Kubelet;
/** Of the same operator. */
let kubeconfigs: Readonly<Record<Way, string>>;

const ways = ["direct", "proxied"] as const;
type Way = (typeof ways)[number];

/** How a kubectl asks: by WebSocket (its default) or SPDY, of the newest version or the older one. */
const clients = [
  { name: "WebSocket", version: kubernetesVersion, webSocket: true },
  { name: "SPDY", version: kubernetesVersion, webSocket: false },
  { name: "WebSocket of an older kubectl", version: olderKubernetesVersion, webSocket: true },
];
type Client = (typeof clients)[number];

before(async () => {
  stage = await setStage(await startControlPlane());
  kubelet = await Kubelet.start(stage.plane);
  const write = (way: Way): string => {
    const { port, ca, token } = stage[way];
    const path = join(stage.plane.directory, `${way}.kubeconfig`);
    const data = Buffer.from(ca).toString("base64");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "op",
      clusters: [
        { name: "op", cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority-data": data } },
      ],
      users: [{ name: "op", user: { token } }],
      contexts: [{ name: "op", context: { cluster: "op", user: "op", namespace: "op" } }],
    };
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  };
  kubeconfigs = { direct: write("direct"), proxied: write("proxied") };
});

after(async () => {
  await kubelet?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

function environment(way: Way, client: Client): NodeJS.ProcessEnv {
  const webSocket = String(client.webSocket);
  return {
    PATH: "/usr/bin:/bin",
    HOME: "/nonexistent",
    KUBECONFIG: kubeconfigs[way],
    KUBECACHEDIR: `${kubeconfigs[way]}.cache-${client.version}`,
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSocket,
    KUBECTL_PORT_FORWARD_WEBSOCKETS: webSocket,
  };
}

function start(way: Way, client: Client, args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(kubernetesBinary("kubectl", client.version), args, {
    env: environment(way, client),
    signal: AbortSignal.timeout(30_000),
    killSignal: "SIGKILL",
  });
}

interface Ran {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function ended(child: ChildProcessWithoutNullStreams, stdin: string | Buffer = ""): Promise<Ran> {
  const closed = once(child, "close");
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { exitCode: child.exitCode, stdout, stderr };
}

/** The same call in both ways, at the same time. */
async function both(client: Client, args: readonly string[], stdin?: string | Buffer): Promise<Ran> {
  const [direct, proxied] = await Promise.all(ways.map((way) => ended(start(way, client, args), stdin)));
  assert.ok(direct !== undefined && proxied !== undefined);
  assert.deepEqual(proxied, direct, "through the proxy | directly");
  return proxied;
}

const megabytes = randomBytes(2 << 20).toString("base64");

for (const client of clients) {
  test(`upgrades by ${client.name}: exec gives output, errors and exit codes, and takes input`, async () => {
    const script = "echo out; echo err >&2; exit 7";
    const failed = await both(client, ["exec", "app", "--", "sh", "-c", script]);
    assert.equal(failed.exitCode, 7);
    assert.equal(failed.stdout, "out\n");
    assert.match(failed.stderr, /^err\n/);
    const echoed = await both(client, ["exec", "-i", "app", "--", "cat"], megabytes);
    assert.equal(echoed.exitCode, 0);
    assert.ok(echoed.stdout === megabytes, "several megabytes came back whole");
    const missing = await both(client, ["exec", "gone", "--", "true"]);
    assert.match(missing.stderr, /pods "gone" not found/);
  });

  test(`upgrades by ${client.name}: exec with a terminal tells its size`, async () => {
    // util-linux's script gives kubectl the terminal that it asks for.
    const sized = async (way: Way): Promise<string> => {
      const kubectl = kubernetesBinary("kubectl", client.version);
      const command = `stty cols 91 rows 37; ${kubectl} exec -it app -- echo over`;
      const options = {
        env: { ...environment(way, client), TERM: "xterm" },
        signal: AbortSignal.timeout(30_000),
      };
      return (await ended(spawn("script", ["-qec", command, "/dev/null"], options))).stdout;
    };
    const [direct, proxied] = await Promise.all(ways.map(sized));
    assert.match(proxied ?? "", /size 91x37\s+(size 91x37\s+)*over/);
    assert.match(direct ?? "", /size 91x37\s+(size 91x37\s+)*over/);
  });

  test(`upgrades by ${client.name}: attach echoes what is typed, while it is open`, async () => {
    for (const way of ways) {
      const child = start(way, client, ["attach", "-i", "app"]);
      const printed: string[] = [];
      child.stdout.on("data", (chunk: Buffer) => printed.push(String(chunk)));
      for (const line of ["one", "two"]) {
        child.stdin.write(`${line}\n`);
        while (!printed.join("").includes(`${line}\n`)) await once(child.stdout, "data");
      }
      child.stdin.end();
      await once(child, "close");
      assert.equal(child.exitCode, 0);
      assert.match(printed.join(""), /one\ntwo\n$/);
    }
  });

  test(`upgrades by ${client.name}: port-forward carries megabytes both ways, on several connections`, async () => {
    for (const way of ways) {
      await using forward = await Forward.start(start(way, client, ["port-forward", "pod/app", ":7"]));
      const sent = [randomBytes(4 << 20), randomBytes(1 << 20), randomBytes(10)];
      const back = await Promise.all(sent.map((bytes) => forward.echoed(bytes)));
      assert.deepEqual(back.map(digest), sent.map(digest), way);
    }
    await kubelet.noSessionLeft();
  });

  test(`upgrades by ${client.name}: a client that goes ends its session at the kubelet`, async () => {
    for (const way of ways) {
      const child = start(way, client, ["exec", "-i", "app", "--", "cat"]);
      child.on("error", () => undefined);
      child.stdin.write("here\n");
      await once(child.stdout, "data");
      assert.equal(kubelet.openSessions, 1);
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
      await kubelet.noSessionLeft();
    }
  });
}

test("upgrades: logs come as they are written, and to the end", async () => {
  const [client] = clients;
  assert.ok(client !== undefined);
  const whole = await both(client, ["logs", "app"]);
  assert.equal(whole.stdout, "line 1 of app\nline 2 of app\nline 3 of app\n");
  for (const way of ways) {
    const child = start(way, client, ["logs", "--follow", "app"]);
    child.on("error", () => undefined);
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk;
    });
    while (!printed.includes("line 6 of app\n")) await once(child.stdout, "data");
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }
  await kubelet.noSessionLeft();
});

test("upgrades: a kubelet that goes ends the sessions of its clients", async () => {
  const open = clients.flatMap((client) =>
    ways.map((way) => start(way, client, ["exec", "-i", "app", "--", "cat"])),
  );
  const closed = Promise.all(open.map((child) => once(child, "close")));
  for (const child of open) {
    child.stdin.on("error", () => undefined);
    child.stdin.write("here\n");
    await once(child.stdout, "data");
  }
  await kubelet.kill();
  await closed;
  for (const child of open) assert.notEqual(child.exitCode, null, "ended by itself");
});

test("control: both protocols were spoken on both ways", () => {
  const count = (verb: string): number =>
    stage.plane.auditEvents().filter((event) => isExec(event) && event.verb === verb).length;
  // A WebSocket begins with GET, SPDY with POST. Each test above runs on both ways.
  assert.ok(count("get") >= 20, `${count("get")} by WebSocket`);
  assert.ok(count("create") >= 10, `${count("create")} by SPDY`);
});

function isExec(event: unknown): event is { readonly verb: string } {
  return isRecord(event) && isRecord(event.objectRef) && event.objectRef.subresource === "exec";
}

/** A running kubectl port-forward. */
class Forward implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #port: number;

  private constructor(child: ChildProcessWithoutNullStreams, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(child: ChildProcessWithoutNullStreams): Promise<Forward> {
    child.on("error", () => undefined);
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk;
    });
    const port = /Forwarding from 127\.0\.0\.1:(\d+)/;
    while (!port.test(printed)) await once(child.stdout, "data");
    return new Forward(child, Number(port.exec(printed)?.[1]));
  }

  /** What comes back for these bytes. */
  async echoed(bytes: Buffer): Promise<Buffer> {
    const socket: Socket = connect({ host: "127.0.0.1", port: this.#port, allowHalfOpen: true });
    const received = buffer(socket);
    socket.end(bytes);
    return received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}

function digest(bytes: Buffer): string {
  return `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;
}
