import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { connect } from "./connect.ts";
import { inClusterCredentials } from "./credentials.ts";
import { respond, scriptedServer } from "./scripted-server.ts";

const signal = AbortSignal.timeout(20_000);
const nodes = { group: "", version: "v1", resource: "nodes", namespaced: false };
const deps = { clock: new FakeClock(), random: () => 0 };

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "ctrlmesh-connect-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const kubeconfig = (
  server: string,
  user = "{token: secret}",
  context = "{cluster: c, user: u, namespace: team}",
) =>
  `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "${server}"}}]
users: [{name: u, user: ${user}}]
contexts: [{name: main, context: ${context}}]
current-context: main
`;

test("connect: a kubeconfig gives server, namespace, token and user agent", async () => {
  await using dir = await folder();
  await using server = await scriptedServer((_, response) =>
    respond(response, 200, { metadata: { name: "n" } }),
  );
  const file = join(dir.path, "config");
  await writeFile(file, kubeconfig(`${server.url.origin}/prefix/`));
  await using client = await connect({ kubeconfigFile: file, userAgent: "ctrlmesh-manager" }, deps);
  await client.get(nodes, { name: "n" }, { signal });
  await client.paced({ qps: 0, burst: 0, userAgent: "healing" }).get(nodes, { name: "n" }, { signal });
  assert.deepEqual([client.server, client.namespace], [server.url.origin, "team"]);
  const [first, second] = server.seen;
  assert.equal(first?.path, "/prefix/api/v1/nodes/n");
  assert.equal(first?.headers.authorization, "Bearer secret");
  assert.deepEqual(
    [first?.headers["user-agent"], second?.headers["user-agent"]],
    ["ctrlmesh-manager", "healing"],
  );
});

test("connect: a user's tokenFile is read again after a minute", async () => {
  await using dir = await folder();
  await using server = await scriptedServer((_, response) => respond(response, 200, {}));
  const clock = new FakeClock();
  await writeFile(join(dir.path, "token"), "one\n");
  await writeFile(join(dir.path, "config"), kubeconfig(server.url.origin, "{tokenFile: token}"));
  const file = join(dir.path, "config");
  await using client = await connect({ kubeconfigFile: file, userAgent: "t" }, { ...deps, clock });
  await client.get(nodes, { name: "n" }, { signal });
  await writeFile(join(dir.path, "token"), "two\n");
  await client.get(nodes, { name: "n" }, { signal });
  await clock.advance(60_000);
  await client.get(nodes, { name: "n" }, { signal });
  assert.deepEqual(
    server.seen.map(({ headers }) => headers.authorization),
    ["Bearer one", "Bearer one", "Bearer two"],
  );
});

for (const { name, text, context, message } of [
  { name: "YAML that is none", text: "clusters: [", message: /./ },
  { name: "an empty file", text: "", message: /./ },
  {
    name: "a context that is not there",
    text: kubeconfig("https://a"),
    context: "other",
    message: /no such context; it has main/,
  },
  {
    name: "a server that is no address",
    text: kubeconfig("not an address"),
    message: /is no http\(s\) address/,
  },
  { name: "a server of another scheme", text: kubeconfig("ftp://a"), message: /"ftp:\/\/a" is no http/ },
  {
    name: "a cluster that is not there",
    text: kubeconfig("https://a", "{}", "{cluster: x, user: u}"),
    message: /no cluster named "x"/,
  },
  {
    name: "a user that is not there",
    text: kubeconfig("https://a", "{}", "{cluster: c, user: x}"),
    message: /no user named "x"/,
  },
  {
    name: "impersonated groups",
    text: kubeconfig("https://a", "{as: b, as-groups: [g]}"),
    message: /as-groups is not supported/,
  },
]) {
  test(`connect: ${name} in a kubeconfig is KUBECONFIG_INVALID`, async () => {
    await using dir = await folder();
    const file = join(dir.path, "config");
    await writeFile(file, text);
    const options = { kubeconfigFile: file, userAgent: "t", ...(context === undefined ? {} : { context }) };
    await assert.rejects(connect(options, deps), { code: "KUBECONFIG_INVALID", message });
  });
}

test("connect: a kubeconfig that is not there is FILE_UNREADABLE, in a list it is skipped", async () => {
  await using dir = await folder();
  const missing = join(dir.path, "missing");
  await assert.rejects(connect({ kubeconfigFile: missing, userAgent: "t" }, deps), {
    code: "FILE_UNREADABLE",
  });
  await writeFile(join(dir.path, "config"), kubeconfig("https://there"));
  const kubeconfigFile = [missing, join(dir.path, "config")].join(delimiter);
  await using client = await connect({ kubeconfigFile, userAgent: "t" }, deps);
  assert.equal(client.server, "https://there");
});

test("connect: without kubeconfig and outside a cluster it says what to give", async () => {
  await assert.rejects(connect({ userAgent: "t" }, deps), {
    code: "KUBECONFIG_INVALID",
    message: /give --kubeconfig/,
  });
});

test("connect: in a pod token and CA are read again when due, a failed read keeps the last", async () => {
  await using dir = await folder();
  const clock = new FakeClock();
  for (const [name, text] of [
    ["token", "one"],
    ["ca.crt", "CA 1"],
    ["namespace", "ctrlmesh\n"],
  ] as const) {
    await writeFile(join(dir.path, name), text);
  }
  const pod = { host: "fd00::1", port: "443", serviceAccountDirectory: dir.path };
  const credentials = await inClusterCredentials(pod, clock);
  assert.deepEqual([credentials.server.href, credentials.namespace], ["https://[fd00::1]/", "ctrlmesh"]);
  await writeFile(join(dir.path, "token"), "two");
  await writeFile(join(dir.path, "ca.crt"), "CA 2");
  const seen = async (refresh: boolean) => {
    const { headers, tls } = await credentials.current(refresh);
    return [headers.authorization, tls.ca];
  };
  assert.deepEqual(await seen(false), ["Bearer one", "CA 1"]);
  assert.deepEqual(await seen(true), ["Bearer two", "CA 1"]);
  await clock.advance(60_000);
  assert.deepEqual(await seen(false), ["Bearer two", "CA 2"]);
  await rm(join(dir.path, "token"));
  await clock.advance(60_000);
  assert.deepEqual(await seen(false), ["Bearer two", "CA 2"]);
});

test("connect: a pod without its service account is FILE_UNREADABLE", async () => {
  await using dir = await folder();
  const inCluster = { host: "10.0.0.1", port: "443", serviceAccountDirectory: dir.path };
  await assert.rejects(connect({ inCluster, userAgent: "t" }, deps), { code: "FILE_UNREADABLE" });
});
