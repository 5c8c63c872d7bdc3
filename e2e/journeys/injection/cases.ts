import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { containers, labels, annotations as ours, podSecurityEnforce } from "#api/names";
import { eventually } from "../../flow/eventually.ts";
import { type ClientReport, clientProgram } from "./client.ts";
import {
  accountName,
  nodeContainer,
  operatorNamespace,
  restrictedPod,
  shardingConfig,
  sources,
} from "./manifests.ts";
import type { InjectionStage } from "./stage.ts";

/** Pods that are unlike others, and pods that must be refused, each with what its user is told. */

const namespace = "cases";
const [own, other] = ["cases-own", "cases-other"];
const selected = { shard: "a" };
const idle = "setInterval(() => {}, 1 << 30)";

interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

function pod(name: string, container: object, options: PodOptions = {}): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: options.labels ?? selected, annotations: options.annotations ?? {} },
    spec: {
      serviceAccountName: accountName,
      terminationGracePeriodSeconds: 1,
      ...restrictedPod,
      containers: [container],
      ...options.spec,
    },
  };
}

const idlePod = (name: string, options: PodOptions = {}) => pod(name, nodeContainer("main", idle), options);

interface Refusal {
  readonly title: string;
  readonly pod: KubernetesObject;
  readonly told: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    title: "a pod on the host's network",
    pod: idlePod("host", { spec: { hostNetwork: true } }),
    told: /spec\.hostNetwork: .*loopback.*; take hostNetwork away, or set the label .*enable-proxy: "false"/,
  },
  {
    title: "a pod that two ShardingConfigs select",
    pod: idlePod("two", { labels: { ...selected, also: "b" } }),
    told: /more than one ShardingConfig of namespace cases selects this pod: a, b; change the selectors/,
  },
  {
    title: "a pod that asks for the proxy and that no ShardingConfig selects",
    pod: idlePod("none", { labels: { [labels.enableProxy]: "true" } }),
    told: /no ShardingConfig of namespace cases selects it; apply the ShardingConfig first/,
  },
  {
    title: "mode iptables where Pod Security forbids it",
    pod: idlePod("redirected", { annotations: { [ours.proxyMode]: "iptables" } }),
    told: /Pod Security "restricted" forbids the capability NET_ADMIN.*; set the label to "privileged", or use/,
  },
  {
    title: "a mode that does not exist",
    pod: idlePod("misspelt", { annotations: { [ours.proxyMode]: "iptable" } }),
    told: /there is no mode "iptable"; the modes are env, kubeconfig, iptables/,
  },
];

/** The service account's folder as Kubernetes mounts it, written out by a user who switched that off. */
const ownAccess = {
  automountServiceAccountToken: false,
  volumes: [
    {
      name: "access",
      projected: {
        sources: [
          { serviceAccountToken: { path: "token" } },
          { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        ],
      },
    },
  ],
};

/** The commands of `docs/injection.md`, without "kubectl". */
const documented = {
  optIn: "annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy=true",
  describe: "describe shard a --namespace demo",
  delete: "delete pods --namespace demo --selector app=operator",
  iptables: "annotate namespace demo ctrlmesh.kusionstack.io/proxy-mode=iptables",
  rules: "logs statefulset/operator --namespace demo --container ctrlmesh-init",
};

export function testCases(stage: () => InjectionStage): void {
  const program = (afterwards: "stay" | "end") =>
    clientProgram({ own, other, ...stage().addresses }, afterwards);

  const reportOf = async (name: string, container = "main"): Promise<ClientReport> => {
    let log = "";
    await eventually(
      `${name} has dialled in every way`,
      async () => {
        log = await stage().admin.ok(["logs", "-n", namespace, name, "-c", container]);
        return log.includes("\n");
      },
      { withinMs: 60_000, detail: () => log },
    );
    return JSON.parse(log);
  };
  const create = (object: KubernetesObject) =>
    stage().admin.run(["create", "-f", "-"], JSON.stringify(object));

  describe("injection, case by case", () => {
    before(async () => {
      await stage().runManager({ nativeSidecars: true, iptablesBackend: "nft" });
      await stage().apply([
        ...sources(own),
        ...sources(other),
        ...operatorNamespace(
          namespace,
          { [podSecurityEnforce]: "restricted" },
          { [ours.enableProxy]: "true" },
        ),
        shardingConfig(namespace, "a", selected, own),
        shardingConfig(namespace, "b", { also: "b" }, other),
      ]);
    });

    for (const refusal of refusals) {
      test(`injection: ${refusal.title} is refused, and the user is told what to do`, async () => {
        const { exitCode, stderr } = await create(refusal.pod);
        assert.equal(exitCode, 1);
        assert.match(stderr, refusal.told);
      });
    }

    test("injection: a pod that no ShardingConfig selects is left alone", async () => {
      const { exitCode, stderr } = await create(idlePod("bystander", { labels: { app: "bystander" } }));
      assert.equal(exitCode, 0, stderr);
      const found = (await stage().pods(namespace)).find(({ metadata }) => metadata.name === "bystander");
      assert.equal(found?.spec.initContainers, undefined);
    });

    test("injection: a Job goes through the proxy and ends", async () => {
      const { metadata, spec } = pod("unused", nodeContainer("main", program("end")));
      await stage().apply([
        {
          apiVersion: "batch/v1",
          kind: "Job",
          metadata: { name: "once", namespace },
          spec: {
            template: {
              metadata: { labels: metadata?.labels },
              spec: { ...Object(spec), restartPolicy: "Never" },
            },
          },
        },
      ]);
      await stage().admin.ok([
        "wait",
        "--for=condition=Complete",
        "job/once",
        "-n",
        namespace,
        "--timeout=90s",
      ]);
      assert.equal((await reportOf("job/once")).seen.env, "shard");
    });

    test("injection: a pod without a mounted token that mounts its own is led to the proxy and trusts it", async () => {
      const container = {
        ...nodeContainer("main", program("stay")),
        volumeMounts: [{ name: "access", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }],
      };
      await stage().apply([pod("own-access", container, { spec: ownAccess })]);
      const { seen } = await reportOf("own-access");
      assert.equal(seen.env, "shard");
      assert.equal(seen.name, "everything", "the cluster's CA is still trusted");
    });

    test("injection: a pod without any token runs without one, and the user is warned", async () => {
      const { exitCode, stderr } = await create(
        idlePod("no-token", { spec: { automountServiceAccountToken: false } }),
      );
      assert.equal(exitCode, 0, stderr);
      assert.match(stderr, /Warning: automountServiceAccountToken is false: main got no token nor CA/);
      await stage().admin.ok([
        "wait",
        "--for=condition=Ready",
        "pod/no-token",
        "-n",
        namespace,
        "--timeout=60s",
      ]);
    });

    for (const [mode, expected] of [
      ["env", "/mine"],
      ["kubeconfig", "/etc/kubernetes/kubeconfig/fake-kubeconfig.yaml"],
    ] as const) {
      test(`injection: mode ${mode} and a KUBECONFIG of the user's own: ${expected} counts`, async () => {
        const container = nodeContainer("main", program("stay"));
        const env = [...(Object(container).env as readonly object[]), { name: "KUBECONFIG", value: "/mine" }];
        await stage().apply([
          pod(`own-${mode}`, { ...container, env }, { annotations: { [ours.proxyMode]: mode } }),
        ]);
        const { kubeconfig, seen } = await reportOf(`own-${mode}`);
        assert.equal(kubeconfig, expected);
        assert.equal(seen.kubeconfig, mode === "env" ? "none" : "shard");
      });
    }

    test("injection: pods from before the opt-in hold their shard and are named; the documented commands replace them", async () => {
      const run = (command: string) => stage().admin.ok(command.split(" "));
      const labelsOfPods = { app: "operator", ...selected };
      const { spec } = pod("unused", nodeContainer("main", idle));
      await stage().apply([
        ...operatorNamespace("demo", {}, {}),
        {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata: { name: "operator", namespace: "demo" },
          spec: {
            serviceName: "operator",
            selector: { matchLabels: labelsOfPods },
            template: { metadata: { labels: labelsOfPods }, spec },
          },
        },
      ]);
      await stage().rolledOut("demo", "statefulset/operator");
      await stage().apply([shardingConfig("demo", "a", selected, own)]);
      await run(documented.optIn);
      await run(documented.iptables);
      let described = "";
      const eventuallyDescribed = (what: string, pattern: RegExp) =>
        eventually(
          what,
          async () => {
            described = await run(documented.describe);
            return pattern.test(described);
          },
          { withinMs: 60_000, detail: () => described },
        );
      await eventuallyDescribed(
        "the pod is named",
        /operator-0 run without a proxy and see everything: .*delete them/,
      );
      assert.doesNotMatch(described, /holds namespaces/);
      await run(documented.delete);
      await stage().rolledOut("demo", "statefulset/operator");
      // While a pod without a proxy ran, the shard held nothing.
      await eventuallyDescribed("the shard holds what it claims", /holds namespaces cases-own/);
      const [last] = await stage().pods("demo");
      assert.deepEqual(
        last?.spec.initContainers?.map(({ name }) => name),
        [containers.init, containers.proxy],
      );
      assert.match(await run(documented.rules), /-A CTRLMESH_OUTPUT .*-j REDIRECT --to-ports 5443/);
    });
  });
}
