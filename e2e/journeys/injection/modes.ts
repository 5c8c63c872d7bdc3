import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { containers, annotations as ours, podSecurityEnforce } from "#api/names";
import { eventually } from "../../flow/eventually.ts";
import { type ClientReport, clientProgram, type Seen, type Way, ways } from "./client.ts";
import {
  accountName,
  type ManagerSettings,
  nodeContainer,
  operatorDeployment,
  operatorNamespace,
  restrictedPod,
  shardingConfig,
  sources,
} from "./manifests.ts";
import type { InjectionStage } from "./stage.ts";

/**
 * Each mode, as a native sidecar and as a plain container, under a real kubelet: an operator of controller-runtime
 * does its work for its shard, and a client that dials the API server in every way shows which of them are caught.
 */

interface Mode {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Level of Pod Security that the namespace enforces. */
  readonly podSecurity: "restricted" | "privileged";
  /** Of the operator, by placement of the proxy. */
  readonly operatorArgs?: Readonly<Record<Placement, readonly string[]>>;
  readonly seen: Readonly<Record<Way, Seen>>;
}

type Placement = "native" | "plain";

/** What clients see that nothing leads to the proxy; the API server itself has no IPv6 address behind the Service. */
const direct = {
  env: "everything",
  kubeconfig: "none",
  name: "everything",
  ipv4: "everything",
  ipv6: "ECONNREFUSED",
  endpoint: "everything",
} as const;

const modes: readonly Mode[] = [
  {
    name: "env",
    annotations: {},
    podSecurity: "restricted",
    seen: { ...direct, env: "shard" },
  },
  {
    name: "kubeconfig",
    annotations: { [ours.proxyMode]: "kubeconfig" },
    podSecurity: "restricted",
    operatorArgs: { native: ["--kubeconfig", "/nowhere"], plain: ["-kubeconfig=/nowhere"] },
    seen: { ...direct, env: "shard", kubeconfig: "shard" },
  },
  {
    name: "iptables",
    annotations: { [ours.proxyMode]: "iptables" },
    podSecurity: "privileged",
    seen: { ...direct, env: "shard", name: "shard", ipv4: "shard", ipv6: "shard" },
  },
  {
    name: "by-name",
    annotations: { [ours.proxyByName]: "true" },
    podSecurity: "restricted",
    seen: { ...direct, env: "shard", name: "shard" },
  },
];
const shardLabels = { shard: "a" };

/** What a row of the table runs; names are `<mode>-<placement>` and, of the objects to work on, `-own` and `-other`. */
function rowObjects(mode: Mode, placement: Placement, stage: InjectionStage): readonly KubernetesObject[] {
  const row = `${mode.name}-${placement}`;
  const [own, other] = [`${row}-own`, `${row}-other`];
  const targets = { own, other, ...stage.addresses };
  const client: KubernetesObject = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "client", namespace: row },
    spec: {
      selector: { matchLabels: { app: "client" } },
      template: {
        metadata: { labels: { app: "client", ...shardLabels } },
        spec: {
          serviceAccountName: accountName,
          terminationGracePeriodSeconds: 1,
          ...restrictedPod,
          initContainers: [nodeContainer("early", clientProgram(targets, "end"))],
          containers: [
            nodeContainer("client", clientProgram(targets, "stay")),
            nodeContainer("second", "setInterval(() => {}, 1 << 30)"),
          ],
        },
      },
    },
  };
  return [
    ...sources(own),
    ...sources(other),
    ...operatorNamespace(
      row,
      { [podSecurityEnforce]: mode.podSecurity },
      {
        [ours.enableProxy]: "true",
        ...mode.annotations,
      },
    ),
    shardingConfig(row, "a", shardLabels, own),
    operatorDeployment(
      { namespace: row, labels: shardLabels, annotations: {} },
      mode.operatorArgs?.[placement] ?? [],
    ),
    client,
  ];
}

async function logsOf(
  stage: InjectionStage,
  row: string,
  deployment: string,
  container: string,
): Promise<string> {
  return await stage.admin.ok(["logs", "-n", row, `deployment/${deployment}`, "-c", container]);
}

async function reportOf(stage: InjectionStage, row: string, container: string): Promise<ClientReport> {
  let log = "";
  await eventually(
    `${container} of ${row} has dialled in every way`,
    async () => {
      log = await logsOf(stage, row, "client", container);
      return log.includes("\n");
    },
    { withinMs: 60_000, detail: () => log },
  );
  return JSON.parse(log);
}

async function digestOf(stage: InjectionStage, namespace: string): Promise<string | undefined> {
  const { metadata } = (await stage.admin.json(["get", "configmap", "source", "-n", namespace])) as {
    metadata: { annotations?: Record<string, string> };
  };
  return metadata.annotations?.["example.com/digest"];
}

/**
 * The tests of all modes under one setting of the manager.
 *
 * @param stage asked for when a test runs
 */
export function testModes(settings: ManagerSettings, stage: () => InjectionStage): void {
  const { nativeSidecars: isNative, iptablesBackend } = settings;
  const placement: Placement = isNative ? "native" : "plain";
  describe(`injection with the proxy as a ${isNative ? "native sidecar" : "plain container"}`, () => {
    before(async () => {
      await stage().runManager(settings);
      // Each row is one apply: the namespace, its annotation, and the pods.
      for (const mode of modes) await stage().apply(rowObjects(mode, placement, stage()));
    });

    for (const mode of modes) {
      const row = `${mode.name}-${placement}`;

      test(`${row}: an operator of controller-runtime does its shard's work and sees nothing else`, async () => {
        await stage().rolledOut(row, "deployment/operator");
        await eventually(
          `${row}-own is digested`,
          async () => (await digestOf(stage(), `${row}-own`)) !== undefined,
          { withinMs: 60_000 },
        );
        assert.equal(await digestOf(stage(), `${row}-other`), undefined);
        const worked = (await logsOf(stage(), row, "operator", "operator"))
          .split("\n")
          .filter((line) => line.startsWith('{"time"'))
          .map((line): { event: string; namespace?: string } => JSON.parse(line))
          .filter(({ event }) => event !== "started");
        assert.ok(worked.length > 0);
        assert.deepEqual([...new Set(worked.map(({ namespace }) => namespace))], [`${row}-own`]);
      });

      test(`${row}: exactly the ways that the mode promises lead to the proxy, and are counted there`, async () => {
        const { seen, proxied } = await reportOf(stage(), row, "client");
        assert.deepEqual(seen, mode.seen);
        const [first, last] = proxied;
        assert.equal(last - first, ways.filter((way) => mode.seen[way] === "shard").length);
      });

      test(`${row}: init containers ${isNative ? "go through the proxy" : "run before it"}`, async () => {
        const { seen } = await reportOf(stage(), row, "early");
        if (isNative) assert.deepEqual(seen, mode.seen);
        else assert.ok(!Object.values(seen).includes("shard"), JSON.stringify(seen));
      });

      test(`${row}: no pod that was applied with its namespace runs without a proxy`, async () => {
        const pods = await stage().pods(row);
        assert.equal(pods.length, 2);
        for (const { metadata, spec } of pods) {
          const proxies = isNative ? spec.initContainers : spec.containers;
          assert.ok(
            proxies?.some(({ name }) => name === containers.proxy),
            metadata.name,
          );
        }
      });
    }

    test(`iptables-${placement}: the rules in the pod catch both families of the API server's address, and nothing else`, async () => {
      const told = await logsOf(stage(), `iptables-${placement}`, "client", containers.init);
      const { ipv4, ipv6 } = stage().addresses;
      const chain = "CTRLMESH_OUTPUT";
      const family = (destination: string) => [
        `-N ${chain}`,
        `-A OUTPUT -p tcp -j ${chain}`,
        `-A ${chain} -m owner --uid-owner 1359 -j RETURN`,
        `-A ${chain} -d ${destination} -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 5443`,
      ];
      assert.deepEqual(told.trim().split("\n"), [
        `# IPv4, ${iptablesBackend}`,
        ...family(`${ipv4}/32`),
        `# IPv6, ${iptablesBackend}`,
        ...family(`${ipv6}/128`),
      ]);
    });
  });
}
