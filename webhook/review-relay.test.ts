import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { containers } from "#api/names";
import { inject } from "./inject.ts";
import { defaultProxyResources, type InjectionRequest } from "./injection-request.ts";
import { type Container, type Pod, parsePod } from "./pod.ts";

const request: InjectionRequest = {
  namespace: "billing-system",
  shard: "billing-a",
  mode: "env",
  nativeSidecars: true,
  byName: false,
  apiServer: [],
  podSecurity: undefined,
  webhook: { certDir: "/certs", port: 9443 },
  settings: {
    image: "ctrlmesh:1",
    imagePullPolicy: "IfNotPresent",
    resources: defaultProxyResources,
    managerAddress: "ctrlmesh-manager.ctrlmesh.svc:8071",
    managerNamespace: "ctrlmesh",
    extraEnv: {},
    iptablesBackend: "nft",
  },
};

const podOf = (...containersOfPod: readonly object[]): Pod =>
  parsePod({ metadata: { name: "op-0" }, spec: { containers: containersOfPod, volumes: [] } });
const mounting = (name: string, mountPath: string, more: object = {}) => ({
  name: `of-${name}`,
  volumeMounts: [{ name, mountPath, ...more }],
});
const proxyOf = (pod: Pod): Container => {
  const found = pod.spec.initContainers?.find(({ name }) => name === containers.proxy);
  assert.ok(found !== undefined);
  return found;
};

test("inject: the proxy of an operator with a webhook gets its certificate for reading, its port, and a named port", () => {
  const { pod } = inject(
    podOf(mounting("certs", "/certs/", { subPath: "tls" }), { name: "exporter" }),
    request,
  );
  const proxy = proxyOf(pod);
  const env = new Map(proxy.env?.map(({ name, value }) => [name, value]));
  assert.equal(env.get("CTRLMESH_WEBHOOK_TARGET"), "127.0.0.1:9443");
  assert.equal(env.get("CTRLMESH_WEBHOOK_CERT_DIR"), "/certs");
  assert.deepEqual(
    proxy.volumeMounts?.filter(({ name }) => name === "certs"),
    [{ name: "certs", mountPath: "/certs", subPath: "tls", readOnly: true }],
  );
  assert.deepEqual(
    proxy.ports?.map(({ name, containerPort }) => `${name} ${containerPort}`),
    ["ctrlmesh-admin 5441", "ctrlmesh-review 5445"],
  );
});

test("inject: with a webhook, applied to its own result, changes nothing", () => {
  const once = inject(podOf(mounting("certs", "/certs")), request).pod;
  assert.deepEqual(inject(once, request).pod, once);
});

test("inject: without spec.webhook the proxy knows of none", () => {
  const { webhook: _webhook, ...without } = request;
  const text = JSON.stringify(proxyOf(inject(podOf(mounting("certs", "/certs")), without).pod));
  assert.doesNotMatch(text, /WEBHOOK|5445|certs/);
});

const refusals: [string, Pod, Partial<InjectionRequest>, RegExp][] = [
  [
    "nothing mounted at certDir",
    podOf(mounting("certs", "/elsewhere")),
    {},
    /no volume is mounted at \/certs/,
  ],
  [
    "two volumes mounted at certDir",
    podOf(mounting("certs", "/certs"), mounting("more", "/certs")),
    {},
    /different volumes are mounted/,
  ],
  [
    "a webhook on the proxy's own port",
    podOf(mounting("certs", "/certs")),
    { webhook: { certDir: "/certs", port: 5446 } },
    /port 5446 is the proxy's own/,
  ],
  [
    "a container on one of the relay's ports",
    podOf({ ...mounting("certs", "/certs"), ports: [{ containerPort: 5445 }] }),
    {},
    /the proxy listens on 5445/,
  ],
];
for (const [title, pod, changes, reason] of refusals) {
  test(`inject: refuses ${title}`, () => {
    assert.throws(
      () => inject(pod, { ...request, ...changes }),
      (error) =>
        error instanceof CtrlmeshError && error.code === "INJECTION_REFUSED" && reason.test(error.message),
    );
  });
}

test("inject: containers that share the volume at certDir are one certificate", () => {
  const { pod } = inject(
    podOf(mounting("certs", "/certs"), { ...mounting("certs", "/certs"), name: "b" }),
    request,
  );
  assert.equal(proxyOf(pod).volumeMounts?.filter(({ mountPath }) => mountPath === "/certs").length, 1);
});
