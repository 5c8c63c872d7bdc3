import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { readProxySettings } from "./settings.ts";

const pod = { POD_NAME: "op-0", POD_NAMESPACE: "team", POD_UID: "u-1", POD_IP: "10.0.0.7" };
const inCluster = { ...pod, KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

async function settingsOf(argv: readonly string[], env: Record<string, string>) {
  const result = await readProxySettings(argv, env);
  return "settings" in result ? result.settings : assert.fail(result.help);
}

test("proxy settings: what injection sets is enough, the rest follows from it", async () => {
  const settings = await settingsOf([], inCluster);
  assert.deepEqual(settings.upstream, { host: "10.96.0.1", port: 443 });
  assert.deepEqual(settings.managerAddress, { host: "ctrlmesh-manager.ctrlmesh.svc", port: 8071 });
  assert.equal(settings.adminHost, "10.0.0.7");
  assert.equal(settings.listenHost, "127.0.0.1");
  assert.equal(settings.apiserverPort, 5443);
  assert.deepEqual(settings.alsoListen, []);
});

test("proxy settings: the manager's name follows its namespace", async () => {
  const settings = await settingsOf([], { ...inCluster, CTRLMESH_MANAGER_NAMESPACE: "mesh-system" });
  assert.equal(settings.managerAddress.host, "ctrlmesh-manager.mesh-system.svc");
});

test("D40: the manager's address, port included, is the one that is given; only without it the service counts", async () => {
  const given = { ...inCluster, CTRLMESH_MANAGER_ADDRESS: "10.0.0.9:18071" };
  const byVariable = await settingsOf([], given);
  assert.deepEqual(byVariable.managerAddress, { host: "10.0.0.9", port: 18071 });
  const byFlag = await settingsOf(["--manager-address=10.0.0.8:28071"], given);
  assert.deepEqual(byFlag.managerAddress, { host: "10.0.0.8", port: 28071 });
  assert.equal((await settingsOf([], inCluster)).managerAddress.port, 8071);
});

test("proxy settings: an IPv6 service address is understood", async () => {
  const settings = await settingsOf([], { ...inCluster, KUBERNETES_SERVICE_HOST: "fd00::1" });
  assert.deepEqual(settings.upstream, { host: "fd00::1", port: 443 });
});

test("proxy settings: further addresses of the listener are addresses", async () => {
  const settings = await settingsOf([], { ...inCluster, CTRLMESH_ALSO_LISTEN: "[::1]:5443,127.0.0.1:443" });
  assert.deepEqual(settings.alsoListen, [
    { host: "::1", port: 5443 },
    { host: "127.0.0.1", port: 443 },
  ]);
});

test("proxy settings: reviews are relayed only where the operator's webhook is named", async () => {
  assert.equal((await settingsOf([], inCluster)).webhook, undefined);
  const env = {
    ...inCluster,
    CTRLMESH_WEBHOOK_TARGET: "127.0.0.1:9443",
    CTRLMESH_WEBHOOK_CERT_DIR: "/certs",
  };
  assert.deepEqual((await settingsOf([], env)).webhook, {
    listen: { host: "10.0.0.7", port: 5445 },
    peers: { host: "10.0.0.7", port: 5446 },
    peerPort: 5446,
    operator: { host: "127.0.0.1", port: 9443 },
    certificateDirectory: "/certs",
  });
});

const bad: readonly [title: string, argv: readonly string[], env: Record<string, string>, message: RegExp][] =
  [
    [
      "no API server",
      [],
      pod,
      /KUBERNETES_SERVICE_HOST, .*: the API server's address is not known; run inside a pod/,
    ],
    [
      "a webhook without its certificate",
      ["--webhook-target=127.0.0.1:9443"],
      inCluster,
      /--webhook-cert-dir, .*: the certificate of the operator's webhook is not known/,
    ],
    [
      "a port that is none",
      [],
      { ...inCluster, KUBERNETES_SERVICE_PORT: "tcp://10.96.0.1:443" },
      /"10\.96\.0\.1" and "tcp:.*" are no address/,
    ],
    [
      "a further address without a port",
      ["--also-listen=::1"],
      inCluster,
      /--also-listen.*"::1" is not allowed/,
    ],
    ["no pod UID", [], { ...inCluster, POD_UID: "" }, /--pod-uid: a value is needed and none was given/],
    ["a drain beyond all grace", ["--drain-timeout=2h"], inCluster, /--drain-timeout: "2h" is not allowed/],
    ["a flag of the original", ["--hot-reload-config"], inCluster, /--hot-reload-config: no such flag/],
  ];

for (const [title, argv, env, message] of bad) {
  test(`proxy settings: ${title} is refused with a hint`, async () => {
    await assert.rejects(readProxySettings(argv, env), (error) => {
      assert.ok(error instanceof CtrlmeshError);
      assert.match(error.message, message);
      return true;
    });
  });
}
