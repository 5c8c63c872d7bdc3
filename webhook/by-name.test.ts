import assert from "node:assert/strict";
import { test } from "node:test";
import { caughtByName } from "./by-name.ts";
import type { EnvVar, Pod } from "./pod.ts";

const podOf = (spec: Partial<Pod["spec"]> = {}): Pod => ({
  metadata: { name: "op-0" },
  spec: { containers: [{ name: "manager" }], ...spec },
});
const names = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
];
const lowestPort = { name: "net.ipv4.ip_unprivileged_port_start", value: "443" };

test("by name: the API server's names lead to loopback, and the proxy may listen on 443 there", () => {
  const { spec } = caughtByName(podOf(), []);
  assert.deepEqual(spec.hostAliases, [{ ip: "127.0.0.1", hostnames: names }]);
  assert.deepEqual(spec.securityContext, { sysctls: [lowestPort] });
});

test("by name: what the user has in hosts file and security context stays, and twice is once", () => {
  const pod = podOf({
    hostAliases: [
      { ip: "10.0.0.1", hostnames: ["db"] },
      { ip: "127.0.0.1", hostnames: ["me"] },
    ],
    securityContext: { runAsUser: 1000, sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "1" }] },
  });
  const once = caughtByName(pod, []);
  assert.deepEqual(once.spec.hostAliases, [
    { ip: "10.0.0.1", hostnames: ["db"] },
    { ip: "127.0.0.1", hostnames: ["me", ...names] },
  ]);
  assert.deepEqual(once.spec.securityContext, {
    runAsUser: 1000,
    sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "1" }, lowestPort],
  });
  assert.deepEqual(caughtByName(once, []), once);
});

test("by name: a sysctl that already allows 443 stays as it is", () => {
  const sysctls = [{ name: lowestPort.name, value: "0" }];
  assert.deepEqual(caughtByName(podOf({ securityContext: { sysctls } }), []).spec.securityContext, {
    sysctls,
  });
});

const host = (value: string): EnvVar[] => [{ name: "KUBERNETES_SERVICE_HOST", value }];
const refused: readonly [string, Partial<Pod["spec"]>, readonly EnvVar[], RegExp][] = [
  [
    "a sysctl that forbids it",
    { securityContext: { sysctls: [{ name: lowestPort.name, value: "1024" }] } },
    [],
    /^spec\.securityContext\.sysctls: .* is 1024, .*; set it to 443 or less/,
  ],
  [
    "a name that leads elsewhere",
    { hostAliases: [{ ip: "10.0.0.1", hostnames: ["x", "Kubernetes.default.svc."] }] },
    [],
    /^spec\.hostAliases\[0\]: .*another address/,
  ],
  ["a proxy that would dial itself", {}, host("kubernetes.default.svc"), /would dial itself; take/],
];
for (const [title, spec, upstream, message] of refused) {
  test(`by name: ${title} is refused`, () => {
    assert.throws(() => caughtByName(podOf(spec), upstream), { code: "INJECTION_REFUSED", message });
  });
}

test("by name: an API server that is named otherwise is no loop", () => {
  caughtByName(podOf(), host("api.example.com"));
  caughtByName(podOf(), host("10.96.0.1"));
});
