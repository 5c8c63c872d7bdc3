import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { annotations, labels, proxyPaths } from "#api/names";
import { inject } from "./inject.ts";
import { defaultProxyResources, type InjectionRequest } from "./injection-request.ts";
import { type Container, type Pod, parsePod } from "./pod.ts";

const request: InjectionRequest = {
  namespace: "billing-system",
  shard: "billing-a",
  mode: "env",
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

const accessVolume = {
  name: "kube-api-access-x7k2p",
  projected: {
    defaultMode: 420,
    sources: [
      { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      { downwardAPI: { items: [{ path: "namespace", fieldRef: { fieldPath: "metadata.namespace" } }] } },
    ],
  },
};
const accessMount = {
  name: accessVolume.name,
  mountPath: proxyPaths.serviceAccountDirectory,
  readOnly: true,
};

/** The pod of `spec/ctrlmesh.md` 10.4 as it reaches the webhook. */
function operatorPod(): Pod {
  return parsePod(
    structuredClone({
      metadata: { name: "op-0", labels: { "statefulset.kubernetes.io/pod-name": "op-0" } },
      spec: {
        serviceAccountName: "billing",
        containers: [
          {
            name: "manager",
            args: ["--leader-elect"],
            env: [{ name: "ENABLE_FAULT_INJECTION", value: "true" }],
            volumeMounts: [{ name: "certs", mountPath: "/certs" }, accessMount],
          },
          { name: "exporter", volumeMounts: [accessMount] },
        ],
        volumes: [{ name: "certs", secret: { secretName: "certs" } }, accessVolume],
      },
    }),
  );
}

const withAnnotations = (entries: Record<string, string>): Pod => {
  const pod = operatorPod();
  return { ...pod, metadata: { ...pod.metadata, annotations: entries } };
};
const withLabelsOf = (entries: Record<string, string>): Pod => {
  const pod = operatorPod();
  return { ...pod, metadata: { ...pod.metadata, labels: entries } };
};
const withSpec = (spec: Partial<Pod["spec"]>): Pod => {
  const pod = operatorPod();
  return { ...pod, spec: { ...pod.spec, ...spec } };
};

function find(pod: Pod, name: string): Container {
  const found = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find((one) => one.name === name);
  assert.ok(found, `no container ${name}`);
  return found;
}
const envOf = (container: Container) =>
  Object.fromEntries((container.env ?? []).map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
const refused = (act: () => unknown, where: RegExp, message: RegExp) =>
  assert.throws(act, (error: Error & { code?: string; where?: string; hint?: string }) => {
    assert.equal(error.code, "INJECTION_REFUSED");
    assert.match(error.where ?? "", where);
    assert.match(error.message, message);
    assert.ok(error.hint, "a refusal says what to do");
    return true;
  });

test("inject: mode env leads every container to the proxy and leaves arguments and mounts alone", () => {
  const { pod } = inject(operatorPod(), request);
  for (const name of ["manager", "exporter"]) {
    const env = envOf(find(pod, name));
    assert.equal(env.KUBERNETES_SERVICE_HOST, "127.0.0.1");
    assert.equal(env.KUBERNETES_SERVICE_PORT, "5443");
    assert.equal(env.KUBERNETES_SERVICE_PORT_HTTPS, "5443");
    assert.equal(env.KUBECONFIG, undefined);
  }
  assert.deepEqual(find(pod, "manager").args, ["--leader-elect"]);
  assert.deepEqual(find(pod, "manager").volumeMounts, operatorPod().spec.containers[0]?.volumeMounts);
  assert.deepEqual(pod.metadata.labels?.[labels.shardingConfigInjected], "billing-a");
  assert.deepEqual(pod.metadata.labels?.[labels.watching], "true");
});

test("inject: the native sidecar is the first init container and holds the others back without giving up", () => {
  const pod = withSpec({ initContainers: [{ name: "migrate", volumeMounts: [accessMount] }] });
  const injected = inject(pod, request).pod;
  const [first, second] = injected.spec.initContainers ?? [];
  assert.equal(first?.name, "ctrlmesh-proxy");
  assert.equal(first?.restartPolicy, "Always");
  assert.deepEqual(first?.startupProbe, {
    httpGet: { path: "/readyz", port: 5441, scheme: "HTTP" },
    periodSeconds: 1,
    timeoutSeconds: 2,
    failureThreshold: 2_147_483_647,
  });
  assert.equal(envOf(second ?? { name: "" }).KUBERNETES_SERVICE_HOST, "127.0.0.1");
  assert.deepEqual(
    injected.spec.containers.map(({ name }) => name),
    ["manager", "exporter"],
  );
});

test("inject: the proxy has resources and log level of the manager's settings", () => {
  const resources = { requests: { memory: "1Gi" } };
  const settings = { ...request.settings, resources, logLevel: "debug" } as const;
  const proxy = find(inject(operatorPod(), { ...request, settings }).pod, "ctrlmesh-proxy");
  assert.deepEqual(proxy.resources, resources);
  assert.equal(envOf(proxy).CTRLMESH_LOG_LEVEL, "debug");
});

test("inject: without native sidecars the proxy is the first container with a gate that needs no shell", () => {
  const pod = withSpec({ initContainers: [{ name: "migrate" }] });
  const { pod: injected, warnings } = inject(pod, { ...request, nativeSidecars: false });
  const [first] = injected.spec.containers;
  assert.equal(first?.name, "ctrlmesh-proxy");
  assert.equal(first?.restartPolicy, undefined);
  assert.deepEqual(first?.lifecycle, { postStart: { exec: { command: ["ctrlmesh", "wait-ready"] } } });
  assert.deepEqual(injected.spec.initContainers, [{ name: "migrate" }]);
  assert.match(warnings.join(), /init containers run before the proxy/);
});

test("inject: the user of a Job is told that a proxy as a plain container never ends, and only there", () => {
  const told = (restartPolicy: string, nativeSidecars: boolean) =>
    inject(withSpec({ restartPolicy }), { ...request, nativeSidecars }).warnings.join();
  assert.match(told("Never", false), /^restartPolicy is Never: .*so the pod never completes/);
  assert.match(told("OnFailure", false), /restartPolicy is OnFailure/);
  assert.equal(told("Always", false), "");
  assert.equal(told("Never", true), "");
});

test("D55: the proxy container passes Pod Security restricted and is not privileged", () => {
  const { securityContext } = find(inject(operatorPod(), request).pod, "ctrlmesh-proxy");
  assert.deepEqual(securityContext, {
    runAsUser: 1359,
    runAsGroup: 1359,
    runAsNonRoot: true,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  });
});

test("D64: the proxy asks for little, and an annotation changes it", () => {
  assert.deepEqual(find(inject(operatorPod(), request).pod, "ctrlmesh-proxy").resources, {
    requests: { cpu: "20m", memory: "80Mi" },
    limits: { memory: "256Mi" },
  });
  const pod = withAnnotations({ [annotations.proxyResource]: '{"limits":{"cpu":1,"memory":"1Gi"}}' });
  assert.deepEqual(find(inject(pod, request).pod, "ctrlmesh-proxy").resources, {
    limits: { cpu: "1", memory: "1Gi" },
  });
});

test("D58: the operator keeps its own token, and each container only sees what it mounts", () => {
  const { pod } = inject(operatorPod(), request);
  const volume = pod.spec.volumes?.find(({ name }) => name === accessVolume.name);
  assert.deepEqual(volume?.projected?.sources?.[0], accessVolume.projected.sources[0]);
  const control = pod.spec.volumes?.find(({ name }) => name === "ctrlmesh-control");
  assert.deepEqual(control?.projected?.sources?.[0], {
    serviceAccountToken: { path: "token", expirationSeconds: 3600, audience: "ctrlmesh" },
  });
  const mounts = (name: string) => find(pod, name).volumeMounts?.map((mount) => mount.name);
  assert.ok(mounts("ctrlmesh-proxy")?.includes("ctrlmesh-control"));
  assert.ok(!mounts("manager")?.includes("ctrlmesh-control"));
});

test("inject: the service account volume trusts the mesh CA, keeps its token and the user's other sources", () => {
  const extra = { configMap: { name: "mine", items: [{ key: "a", path: "a" }] } };
  const pod = operatorPod();
  const volumes = [
    {
      ...accessVolume,
      projected: { ...accessVolume.projected, sources: [...accessVolume.projected.sources, extra] },
    },
  ];
  const { pod: injected, record } = inject({ ...pod, spec: { ...pod.spec, volumes } }, request);
  const [volume] = injected.spec.volumes ?? [];
  assert.deepEqual(volume?.projected?.sources, [
    accessVolume.projected.sources[0],
    { configMap: { name: "ctrlmesh-ca", items: [{ key: "ca.crt", path: "ca.crt" }] } },
    accessVolume.projected.sources[2],
    extra,
  ]);
  assert.deepEqual(record.caVolumes, [accessVolume.name]);
});

test("inject: a legacy token Secret at the service account's place becomes a projection of its token", () => {
  const pod = operatorPod();
  const volumes = [{ name: accessVolume.name, secret: { secretName: "legacy", defaultMode: 420 } }];
  const { pod: injected } = inject({ ...pod, spec: { ...pod.spec, volumes } }, request);
  assert.deepEqual(injected.spec.volumes?.[0], {
    name: accessVolume.name,
    projected: {
      sources: [
        {
          secret: {
            name: "legacy",
            items: [
              { key: "token", path: "token" },
              { key: "namespace", path: "namespace" },
            ],
          },
        },
        { configMap: { name: "ctrlmesh-ca", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      ],
    },
  });
});

test("inject: containers without a service account volume get one", () => {
  const pod = withSpec({ containers: [{ name: "manager" }], volumes: [] });
  const { pod: injected } = inject(pod, request);
  const [mount] = find(injected, "manager").volumeMounts ?? [];
  assert.equal(mount?.mountPath, proxyPaths.serviceAccountDirectory);
  assert.ok(injected.spec.volumes?.some(({ name }) => name === mount?.name));
});

test("inject: automountServiceAccountToken false is respected and the user is told", () => {
  const pod = withSpec({
    containers: [{ name: "manager" }],
    volumes: [],
    automountServiceAccountToken: false,
  });
  const { pod: injected, warnings } = inject(pod, request);
  assert.equal(find(injected, "manager").volumeMounts, undefined);
  assert.match(warnings.join(), /automountServiceAccountToken is false: manager got no token/);
});

test("inject: an API server that the containers name becomes the proxy's upstream", () => {
  const env = [
    { name: "KUBERNETES_SERVICE_HOST", value: "10.9.9.9" },
    { name: "KUBERNETES_SERVICE_PORT", value: "6443" },
  ];
  const { pod } = inject(withSpec({ containers: [{ name: "manager", env }] }), request);
  assert.equal(envOf(find(pod, "ctrlmesh-proxy")).KUBERNETES_SERVICE_HOST, "10.9.9.9");
  assert.equal(envOf(find(pod, "ctrlmesh-proxy")).KUBERNETES_SERVICE_PORT, "6443");
  assert.equal(envOf(find(pod, "manager")).KUBERNETES_SERVICE_HOST, "127.0.0.1");
});

test("inject: a variable that is set twice, of which the last would win, leaves no way round the proxy", () => {
  const env = ["10.9.9.9", "10.9.9.9"].map((value) => ({ name: "KUBERNETES_SERVICE_HOST", value }));
  const { pod } = inject(withSpec({ containers: [{ name: "manager", env }] }), request);
  const hosts = find(pod, "manager").env?.filter(({ name }) => name === "KUBERNETES_SERVICE_HOST");
  assert.deepEqual(hosts, [{ name: "KUBERNETES_SERVICE_HOST", value: "127.0.0.1" }]);
});

const kubeconfigRequest: InjectionRequest = { ...request, mode: "kubeconfig" };
const kubeconfigPath = "/etc/kubernetes/kubeconfig/fake-kubeconfig.yaml";

test("D18: the kubeconfig flag is rewritten where a container has it, in both forms, and never added", () => {
  const pod = withSpec({
    containers: [
      { name: "equals", args: ["--a", "--kubeconfig=/x", "-kubeconfig=/y"] },
      { name: "separate", args: ["--kubeconfig", "/x", "--b"] },
      { name: "command", command: ["/op", "-kubeconfig", "/x"] },
      { name: "across", command: ["/op", "--kubeconfig"], args: ["/x", "run"] },
      { name: "none", args: ["serve"] },
      { name: "bare" },
      { name: "similar", args: ["--kubeconfig-dir=/x", "--kubeconfigs", "/x"] },
    ],
  });
  const { pod: injected, record } = inject(pod, kubeconfigRequest);
  const line = (name: string) => ({ command: find(injected, name).command, args: find(injected, name).args });
  const flag = `--kubeconfig=${kubeconfigPath}`;
  assert.deepEqual(line("equals"), { command: undefined, args: ["--a", flag, flag] });
  assert.deepEqual(line("separate"), { command: undefined, args: ["--kubeconfig", kubeconfigPath, "--b"] });
  assert.deepEqual(line("command"), { command: ["/op", "-kubeconfig", kubeconfigPath], args: undefined });
  assert.deepEqual(line("across"), { command: ["/op", "--kubeconfig"], args: [kubeconfigPath, "run"] });
  assert.deepEqual(line("none"), { command: undefined, args: ["serve"] });
  assert.deepEqual(line("bare"), { command: undefined, args: undefined });
  assert.deepEqual(line("similar").args, ["--kubeconfig-dir=/x", "--kubeconfigs", "/x"]);
  assert.deepEqual(record.kubeconfigFlags, ["equals", "separate", "command", "across"]);
  assert.equal(envOf(find(injected, "bare")).KUBECONFIG, kubeconfigPath);
});

test("D18: the disable labels keep flag and variable as they are", () => {
  const pod = withLabelsOf({
    [labels.disableFakeKubeconfigArg]: "true",
    [labels.disableFakeKubeconfigEnv]: "true",
  });
  pod.spec.containers[0] = { name: "manager", args: ["--kubeconfig=/x"] };
  const manager = find(inject(pod, kubeconfigRequest).pod, "manager");
  assert.deepEqual(manager.args, ["--kubeconfig=/x"]);
  assert.equal(envOf(manager).KUBECONFIG, undefined);
});

test("D53: mode kubeconfig also leads clients that build an in-cluster configuration themselves", () => {
  const manager = find(inject(operatorPod(), kubeconfigRequest).pod, "manager");
  assert.equal(envOf(manager).KUBERNETES_SERVICE_HOST, "127.0.0.1");
  assert.ok(manager.volumeMounts?.some(({ mountPath }) => mountPath === "/etc/kubernetes/kubeconfig"));
});

test("D19: the label kubeconfig-volume is refused before any mount is moved", () => {
  const pod = withLabelsOf({ [labels.kubeconfigVolume]: "other" });
  refused(() => inject(pod, request), /kubeconfig-volume/, /only to the API server of its own cluster/);
});

test("inject: annotations reach proxy and containers", () => {
  const pod = withAnnotations({
    [annotations.envSync]: "A=b=c,ENABLE_FAULT_INJECTION",
    [annotations.envInject]: '[{"name":"exporter","env":[{"key":"LEVEL","value":"debug"}]}]',
    [annotations.logPath]: "/var/log/app",
  });
  const { pod: injected } = inject(pod, { ...request, nativeSidecars: false });
  const proxy = find(injected, "ctrlmesh-proxy");
  assert.equal(envOf(proxy).A, "b=c");
  assert.equal(envOf(proxy).ENABLE_FAULT_INJECTION, "true");
  assert.equal(envOf(find(injected, "exporter")).LEVEL, "debug");
  for (const name of ["ctrlmesh-proxy", "manager", "exporter"]) {
    assert.ok(
      find(injected, name).volumeMounts?.some(({ mountPath }) => mountPath === "/var/log/app"),
      name,
    );
  }
  assert.ok(injected.spec.volumes?.some(({ name }) => name === "app-shared-logs"));
});

test("inject: a native sidecar shares the log path too, and none that is its own way to the API server", () => {
  const { pod } = inject(withAnnotations({ [annotations.logPath]: "/var/log/app" }), request);
  const mounts = find(pod, "ctrlmesh-proxy").volumeMounts ?? [];
  assert.ok(mounts.some(({ name, mountPath }) => name === "app-shared-logs" && mountPath === "/var/log/app"));
  const token = "/var/run/secrets/kubernetes.io/serviceaccount";
  refused(
    () => inject(withAnnotations({ [annotations.logPath]: token }), request),
    /log-path/,
    /mount different volumes there/,
  );
});

test("inject: a volume that is already mounted at the log path is shared", () => {
  const pod = withAnnotations({ [annotations.logPath]: "/logs" });
  pod.spec.containers[0]?.volumeMounts?.push({ name: "certs", mountPath: "/logs" });
  const { pod: injected } = inject(pod, request);
  assert.ok(find(injected, "exporter").volumeMounts?.some(({ name }) => name === "certs"));
  assert.ok(!injected.spec.volumes?.some(({ name }) => name === "app-shared-logs"));
});

const badAnnotations: readonly [string, string, RegExp][] = [
  [annotations.proxyResource, "{", /no JSON/],
  [annotations.proxyResource, '{"limits":{"cpu":"much"}}', /\/limits\/cpu/],
  [annotations.proxyResource, '{"limit":{}}', /write JSON such as/],
  [annotations.proxyResource, "[]", /write JSON such as/],
  [annotations.envSync, "NOT_SET", /no container sets NOT_SET/],
  [annotations.envSync, "1BAD=x", /"1BAD" is no name/],
  [annotations.envSync, "A=1,,B=2", /"" is no name/],
  [annotations.envSync, "KUBERNETES_SERVICE_HOST=10.0.0.1", /is set by injection/],
  [annotations.envSync, "CTRLMESH_LISTEN_HOST=0.0.0.0", /is set by injection/],
  [annotations.envInject, "x", /no JSON/],
  [annotations.envInject, '[{"name":"manager"}]', /env/],
  [annotations.envInject, '[{"name":"nobody","env":[]}]', /no container "nobody"; it has manager, exporter/],
  [annotations.envInject, '[{"name":"manager","env":[{"key":"KUBECONFIG","value":""}]}]', /set by injection/],
  [annotations.logPath, "logs", /no absolute path/],
  [annotations.logPath, "/", /no absolute path/],
];
for (const [key, value, message] of badAnnotations) {
  test(`inject: annotation ${key.split("/")[1]} ${JSON.stringify(value)} is refused with place and hint`, () => {
    refused(() => inject(withAnnotations({ [key]: value }), request), /metadata\.annotations\[/, message);
  });
}

test("inject: pods that can't have a proxy are refused with place and hint", () => {
  refused(() => inject(withSpec({ hostNetwork: true }), request), /spec\.hostNetwork/, /loopback/);
  refused(
    () => inject(withSpec({ containers: [{ name: "ctrlmesh-proxy" }] }), request),
    /spec\.containers/,
    /name ctrlmesh-proxy is taken/,
  );
  refused(
    () => inject(withSpec({ volumes: [{ name: accessVolume.name, emptyDir: {} }] }), request),
    /spec\.volumes\[0\]/,
    /neither projected nor a Secret/,
  );
  refused(
    () => inject(operatorPod(), { ...request, shard: "x".repeat(64) }),
    /sharding-config-injected/,
    /63/,
  );
  refused(
    () => inject(withSpec({ volumes: [accessVolume, { name: "ctrlmesh-state", emptyDir: {} }] }), request),
    /spec\.volumes\[1\]/,
    /"ctrlmesh-state" is taken/,
  );
  const differing = ["10.0.0.1", "10.0.0.2"].map((value, index) => ({
    name: `c${index}`,
    env: [{ name: "KUBERNETES_SERVICE_HOST", value }],
  }));
  refused(() => inject(withSpec({ containers: differing }), request), /env/, /different values/);
  const mounted = [{ name: "m", volumeMounts: [{ name: "certs", mountPath: "/etc/kubernetes/kubeconfig" }] }];
  refused(
    () => inject(withSpec({ containers: mounted }), kubeconfigRequest),
    /spec\.containers\[0\]\.volumeMounts\[0\]/,
    /mode kubeconfig/,
  );
});

test("D2: an operator's own webhook is not redirected anywhere", () => {
  const { pod } = inject(operatorPod(), request);
  assert.ok(!JSON.stringify(pod).includes("5445"));
  const { pod: redirected } = inject(operatorPod(), { ...request, mode: "iptables" });
  assert.ok(!JSON.stringify(redirected).includes("5445"));
});

const variable = fc.record({
  name: fc.constantFrom("A", "B", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"),
  value: fc.constantFrom("1", "10.0.0.1", "127.0.0.1"),
});
const mount = fc.constantFrom(
  accessMount,
  { name: "certs", mountPath: "/certs" },
  { name: "certs", mountPath: "/logs" },
);
const containerOf = (name: string) =>
  fc.record(
    {
      name: fc.constant(name),
      command: fc.array(fc.constantFrom("/op", "--kubeconfig", "--kubeconfig=/x", "run"), { maxLength: 3 }),
      args: fc.array(fc.constantFrom("-kubeconfig", "--kubeconfig", "/x", "--v=2"), { maxLength: 4 }),
      env: fc.array(variable, { maxLength: 4 }),
      volumeMounts: fc.uniqueArray(mount, { selector: ({ mountPath }) => mountPath }),
    },
    { requiredKeys: ["name"] },
  );
const anyPod = fc
  .record({
    containers: fc.tuple(containerOf("manager"), containerOf("exporter")),
    initContainers: fc.option(fc.tuple(containerOf("migrate")), { nil: undefined }),
    automountServiceAccountToken: fc.constantFrom(undefined, true, false),
    annotations: fc.record(
      {
        [annotations.envSync]: fc.constantFrom("X=1", "X=1,Y=2=3"),
        [annotations.logPath]: fc.constant("/logs"),
        [annotations.envInject]: fc.constant('[{"name":"manager","env":[{"key":"A","value":"9"}]}]'),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ annotations: notes, ...spec }): Pod => {
    const volumes = [{ name: "certs", secret: { secretName: "certs" } }, accessVolume];
    return parsePod(
      JSON.parse(
        JSON.stringify({ metadata: { name: "op-0", annotations: notes }, spec: { ...spec, volumes } }),
      ),
    );
  });

test("inject: injecting twice is injecting once, for any pod, mode and sidecar kind", () => {
  let injectedPods = 0;
  fc.assert(
    fc.property(
      anyPod,
      fc.constantFrom("env" as const, "kubeconfig" as const, "iptables" as const),
      fc.boolean(),
      fc.boolean(),
      (pod, mode, nativeSidecars, byName) => {
        const wanted = { ...request, mode, nativeSidecars, byName };
        let once: Pod;
        try {
          once = inject(pod, wanted).pod;
        } catch {
          return;
        }
        injectedPods++;
        const before = JSON.stringify(pod);
        assert.deepEqual(inject(once, wanted).pod, once);
        assert.equal(JSON.stringify(pod), before, "the input is not changed");
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(injectedPods > 100, `only ${injectedPods} pods were injected`);
});

test("inject: a container that another webhook added afterwards is led to the proxy too", () => {
  const once = inject(operatorPod(), request).pod;
  const later = { ...once, spec: { ...once.spec, containers: [...once.spec.containers, { name: "late" }] } };
  const proxy = find(later, "ctrlmesh-proxy");
  proxy.env = [...(proxy.env ?? []), { name: "ADDED", value: "1" }];
  const twice = inject(later, request).pod;
  assert.equal(envOf(find(twice, "late")).KUBERNETES_SERVICE_HOST, "127.0.0.1");
  assert.equal(envOf(find(twice, "ctrlmesh-proxy")).ADDED, "1");
});

const folder = new URL("./testdata/", import.meta.url);
const cases: Readonly<Record<string, InjectionRequest>> = {
  "env-native": request,
  "env-container": { ...request, nativeSidecars: false },
  "kubeconfig-native": kubeconfigRequest,
  "iptables-native": { ...request, mode: "iptables" },
  "iptables-container": { ...request, mode: "iptables", nativeSidecars: false },
  "by-name": { ...request, byName: true },
};
for (const before of readdirSync(folder).filter((name) => name.endsWith(".before.json"))) {
  for (const [name, wanted] of Object.entries(cases)) {
    const after = before.replace(".before.json", `.${name}.after.json`);
    test(`inject: ${before} in ${name} is ${after} (--update rewrites it)`, () => {
      const pod = parsePod(JSON.parse(readFileSync(new URL(before, folder), "utf8")));
      const text = `${JSON.stringify(inject(pod, wanted).pod, null, 2)}\n`;
      if (process.argv.includes("--update")) writeFileSync(new URL(after, folder), text);
      assert.equal(text, readFileSync(new URL(after, folder), "utf8"));
    });
  }
}
