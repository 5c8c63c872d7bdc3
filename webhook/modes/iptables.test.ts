import assert from "node:assert/strict";
import { test } from "node:test";
import { inject } from "../inject.ts";
import { defaultProxyResources, type InjectionRequest } from "../injection-request.ts";
import { containersOf } from "../our-containers.ts";
import type { Container, Pod } from "../pod.ts";

const request: InjectionRequest = {
  namespace: "billing-system",
  shard: "billing-a",
  mode: "iptables",
  nativeSidecars: true,
  byName: false,
  apiServer: [
    { host: "10.96.0.1", port: 443 },
    { host: "fd00:10:96::1", port: 443 },
  ],
  podSecurity: undefined,
  settings: {
    image: "registry.example.com/ctrlmesh:1",
    imagePullPolicy: "IfNotPresent",
    resources: defaultProxyResources,
    managerAddress: "ctrlmesh-manager.ctrlmesh.svc:8071",
    managerNamespace: "ctrlmesh",
    extraEnv: {},
    iptablesBackend: "nft",
  },
};
const podOf = (spec: Partial<Pod["spec"]> = {}): Pod => ({
  metadata: { name: "op-0" },
  spec: { containers: [{ name: "manager", image: "op:1", args: ["--kubeconfig=/x"] }], ...spec },
});
const names = (containers: readonly Container[] | undefined) => containers?.map(({ name }) => name);
function initOf(pod: Pod): Container {
  return containersOf(pod).find(({ name }) => name === "ctrlmesh-init") ?? assert.fail("no ctrlmesh-init");
}

test("mode iptables: the operator's containers keep arguments and environment, and get the CA", () => {
  const { pod } = inject(podOf(), request);
  const [manager] = pod.spec.containers;
  assert.deepEqual(manager?.args, ["--kubeconfig=/x"]);
  assert.equal(manager?.env, undefined);
  assert.deepEqual(names(manager?.volumeMounts?.map(({ name }) => ({ name }))), ["ctrlmesh-api-access"]);
});

test("mode iptables: the init container has NET_ADMIN, root and nothing else", () => {
  const init = initOf(inject(podOf(), request).pod);
  assert.deepEqual(init.args, [
    "init",
    "--api-server=10.96.0.1:443,[fd00:10:96::1]:443",
    "--iptables-backend=nft",
  ]);
  assert.deepEqual(init.securityContext, {
    runAsUser: 0,
    runAsGroup: 0,
    runAsNonRoot: false,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"], add: ["NET_ADMIN"] },
    seccompProfile: { type: "RuntimeDefault" },
  });
  assert.equal(init.image, request.settings.image);
  assert.equal(init.volumeMounts, undefined);
  assert.equal(init.restartPolicy, undefined);
});

test("mode iptables: only the legacy backend gets NET_RAW", () => {
  const settings = { ...request.settings, iptablesBackend: "legacy" as const };
  const init = initOf(inject(podOf(), { ...request, settings }).pod);
  assert.deepEqual(init.securityContext?.capabilities, { drop: ["ALL"], add: ["NET_ADMIN", "NET_RAW"] });
  assert.ok(init.args?.includes("--iptables-backend=legacy"));
});

test("mode iptables: before a native sidecar come the rules, after it the user's init containers", () => {
  const pod = podOf({ initContainers: [{ name: "migrate" }] });
  const { initContainers, containers } = inject(pod, request).pod.spec;
  assert.deepEqual(names(initContainers), ["ctrlmesh-init", "ctrlmesh-proxy", "migrate"]);
  assert.deepEqual(names(containers), ["manager"]);
});

test("mode iptables: with a plain container the rules come last, so that init containers reach somebody", () => {
  const pod = podOf({ initContainers: [{ name: "migrate" }] });
  const plain = { ...request, nativeSidecars: false };
  const { pod: injected, warnings } = inject(pod, plain);
  assert.deepEqual(names(injected.spec.initContainers), ["migrate", "ctrlmesh-init"]);
  assert.deepEqual(names(injected.spec.containers), ["ctrlmesh-proxy", "manager"]);
  assert.match(warnings.join(), /init containers run before the proxy/);

  const late = structuredClone(injected);
  late.spec.initContainers?.push({ name: "added" });
  assert.deepEqual(names(inject(late, plain).pod.spec.initContainers), ["migrate", "added", "ctrlmesh-init"]);
});

test("mode iptables: the proxy listens on ::1 where the Service has an IPv6 address, and only there", () => {
  const alsoListen = (apiServer: InjectionRequest["apiServer"]) =>
    containersOf(inject(podOf(), { ...request, apiServer }).pod)
      .find(({ name }) => name === "ctrlmesh-proxy")
      ?.env?.find(({ name }) => name === "CTRLMESH_ALSO_LISTEN")?.value;
  assert.equal(alsoListen(request.apiServer), "[::1]:5443");
  assert.equal(alsoListen([{ host: "10.96.0.1", port: 443 }]), undefined);
});

test("mode iptables: the annotation proxy-by-name has nothing left to do", () => {
  const { pod } = inject(podOf(), { ...request, byName: true });
  assert.equal(pod.spec.hostAliases, undefined);
  assert.equal(pod.spec.securityContext, undefined);
});

const variable = (name: string, value: string) => ({
  containers: [{ name: "manager", env: [{ name, value }] }],
});
const refused: readonly [string, Partial<Pod["spec"]>, Partial<InjectionRequest>, RegExp][] = [
  ["no address", {}, { apiServer: [] }, /^Service default\/kubernetes: .*; use .*proxy-mode: "env"/],
  [
    "Pod Security restricted",
    {},
    { podSecurity: "restricted" },
    /^namespace metadata\.labels\[pod-security.*\]: .*"restricted" forbids .*NET_ADMIN.*; set the label to "privileged", or use/,
  ],
  ["Pod Security baseline", {}, { podSecurity: "baseline" }, /"baseline" forbids/],
  [
    "a pod that runs as the proxy's user",
    { securityContext: { runAsUser: 1359 } },
    {},
    /^spec\.securityContext\.runAsUser: 1359 is the user of the proxy.*; run the operator as another/,
  ],
  [
    "a container that does",
    { containers: [{ name: "manager", securityContext: { runAsUser: 1359 } }] },
    {},
    /^container "manager": securityContext\.runAsUser/,
  ],
  [
    "an init container that does",
    { initContainers: [{ name: "migrate", securityContext: { runAsUser: 1359 } }] },
    {},
    /^container "migrate"/,
  ],
  ["another API server", variable("KUBERNETES_SERVICE_HOST", "10.9.9.9"), {}, /env\[0\]: .*not at 10\.96/],
  ["a name", variable("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"), {}, /env\[0\]/],
  ["another port", variable("KUBERNETES_SERVICE_PORT", "6443"), {}, /KUBERNETES_SERVICE_PORT names/],
  ["a container of our name", { initContainers: [{ name: "ctrlmesh-init" }] }, {}, /ctrlmesh-init is taken/],
];
for (const [title, spec, change, message] of refused) {
  test(`mode iptables: ${title} is refused`, () => {
    assert.throws(() => inject(podOf(spec), { ...request, ...change }), {
      code: "INJECTION_REFUSED",
      message,
    });
  });
}

test("mode iptables: the Service's own address in a variable, and Pod Security privileged, are fine", () => {
  for (const host of ["10.96.0.1", "fd00:10:96::1"]) {
    inject(podOf(variable("KUBERNETES_SERVICE_HOST", host)), { ...request, podSecurity: "privileged" });
  }
});

test("mode iptables: a container that calls itself ctrlmesh-init brings nothing of its own into the one that is root", () => {
  const forged = {
    name: "ctrlmesh-init",
    image: "mine:1",
    command: ["/mine/run"],
    env: [{ name: "NODE_OPTIONS", value: "--require=/mine/run.js" }],
    volumeMounts: [{ name: "mine", mountPath: "/mine" }],
  };
  const pod = podOf({ initContainers: [forged] });
  const marked = {
    ...pod,
    metadata: { ...pod.metadata, annotations: { "ctrlmesh.kusionstack.io/injected": "{}" } },
  };
  assert.deepEqual(initOf(inject(marked, request).pod), initOf(inject(podOf(), request).pod));
});
