import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../../flow/eventually.ts";
import type { Kubectl } from "../kubectl.ts";
import { kubernetesVersion, olderKubernetesVersion } from "../versions.ts";
import { type NodeCluster, startNodeCluster } from "./node-cluster.ts";
import {
  echoManifests,
  probeNamespace as ns,
  probeArchive,
  probeImage,
  reviewedConfigMap,
  unrestrictedPod,
  webhookConfiguration,
} from "./probe-pods.ts";
import { readRecord } from "./record.ts";
import { tracesOf } from "./traces.ts";

/** Whole clusters as a user has them, two versions side by side, each asked from inside its pods. */

const versions = [kubernetesVersion, olderKubernetesVersion];
const clusters: NodeCluster[] = [];

before(async () => {
  const archive = probeArchive();
  const booted = await Promise.allSettled(
    versions.map((version) => startNodeCluster({ version, audit: true, featureGates: { WatchList: true } })),
  );
  for (const outcome of booted) if (outcome.status === "fulfilled") clusters.push(outcome.value);
  for (const outcome of booted) if (outcome.status === "rejected") throw outcome.reason;
  for (const cluster of clusters) {
    assert.deepEqual(await cluster.loadImage(archive), [probeImage]);
    await cluster.kubectl().ok(["apply", "-f", "-"], echoManifests());
  }
  for (const cluster of clusters) await echoIsReady(cluster.kubectl());
});

after(async () => {
  for (const cluster of clusters) await cluster[Symbol.asyncDispose]();
});

async function echoIsReady(kubectl: Kubectl): Promise<void> {
  await kubectl.ok(["rollout", "status", "deployment/echo", "-n", ns, "--timeout=50s"]);
}

/** Runs the probe in the pod of `echo`. */
function probe(kubectl: Kubectl, ...args: readonly string[]): Promise<string> {
  return kubectl.ok(["exec", "-n", ns, "deployment/echo", "--", "/probe", ...args]);
}

interface Addresses {
  readonly clusterIPs: readonly [string, string];
  readonly podIPs: readonly [string, string];
  readonly podName: string;
}

async function addresses(kubectl: Kubectl): Promise<Addresses> {
  const service = (await kubectl.json(["get", "service", "echo", "-n", ns])) as {
    spec: { clusterIPs: [string, string] };
  };
  const pods = (await kubectl.json(["get", "pods", "-n", ns, "-l", "app=echo"])) as {
    items: [{ metadata: { name: string }; status: { podIPs: [{ ip: string }, { ip: string }] } }];
  };
  const [{ metadata, status }] = pods.items;
  const [ipv4, ipv6] = status.podIPs;
  return { clusterIPs: service.spec.clusterIPs, podIPs: [ipv4.ip, ipv6.ip], podName: metadata.name };
}

for (const [index, version] of versions.entries()) {
  const cluster = (): NodeCluster => {
    const found = clusters[index];
    assert.ok(found !== undefined);
    return found;
  };

  describe(`node cluster ${version}`, () => {
    test("its node is ready, of its version, with ranges of both address families", async () => {
      const { node, ...own } = cluster();
      const read = (await own.kubectl().json(["get", "node", node.name])) as {
        spec: { podCIDRs: string[] };
        status: { nodeInfo: { kubeletVersion: string }; addresses: { type: string; address: string }[] };
      };
      assert.equal(read.status.nodeInfo.kubeletVersion, `v${version}`);
      assert.deepEqual(read.spec.podCIDRs, [node.podRanges.ipv4, node.podRanges.ipv6]);
      const internal = read.status.addresses.filter(({ type }) => type === "InternalIP");
      assert.deepEqual(
        internal.map(({ address }) => address),
        [node.ipv4, node.ipv6],
      );
    });

    test("a pod of a loaded image runs, Pod Security restricted admits it, and refuses another", async () => {
      const { exitCode, stderr } = await cluster().kubectl().run(["create", "-f", "-"], unrestrictedPod());
      assert.equal(exitCode, 1);
      assert.match(stderr, /violates PodSecurity "restricted/);
    });

    test("names are answered inside a pod on both families, unknown ones do not exist", async () => {
      const kubectl = cluster().kubectl();
      const { clusterIPs } = await addresses(kubectl);
      assert.equal((await probe(kubectl, "lookup", "ip4", "echo")).trim(), clusterIPs[0]);
      assert.equal(
        (await probe(kubectl, "lookup", "ip6", `echo.${ns}.svc.cluster.local`)).trim(),
        clusterIPs[1],
      );
      const apiServer = await probe(kubectl, "lookup", "ip4", "kubernetes.default.svc");
      assert.equal(apiServer.trim(), cluster().node.apiServerService);
      const unknown = [
        "exec",
        "-n",
        ns,
        "deployment/echo",
        "--",
        "/probe",
        "lookup",
        "ip4",
        "nobody.example",
      ];
      assert.match((await kubectl.run(unknown)).stderr, /no such host/);
    });

    test("a Service and its pod answer on both families, inside and from the node", async () => {
      const kubectl = cluster().kubectl();
      const { clusterIPs, podIPs, podName } = await addresses(kubectl);
      const urls = [
        "http://echo/",
        `http://${clusterIPs[0]}/`,
        `http://[${clusterIPs[1]}]/`,
        `http://${podIPs[0]}:8080/`,
        `http://[${podIPs[1]}]:8080/`,
      ];
      for (const url of urls) assert.equal((await probe(kubectl, "get", url)).trim(), podName, url);
      for (const url of urls.slice(1)) {
        const script = `process.stdout.write(await (await fetch("${url}")).text())`;
        const { stdout, stderr } = await cluster().exec([
          process.execPath,
          "--input-type=module",
          "--eval",
          script,
        ]);
        assert.equal(stdout.trim(), podName, `${url} from the node: ${stderr}`);
      }
    });

    test("a pod reaches the API server by its Service's name, with its own token", async () => {
      const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
      const url = "https://kubernetes.default.svc/version";
      const { gitVersion } = JSON.parse(await probe(cluster().kubectl(), "get", url, `${folder}/token`)) as {
        gitVersion: string;
      };
      assert.equal(gitVersion, `v${version}`);
    });

    test("the API server reaches a pod's webhook by its Service; logs print its certificate", async () => {
      const kubectl = cluster().kubectl();
      const caPem = await kubectl.ok(["logs", "-n", ns, "deployment/echo"]);
      assert.match(caPem, /^-----BEGIN CERTIFICATE-----/);
      await kubectl.ok(["apply", "-f", "-"], webhookConfiguration(caPem));
      await eventually("the webhook refuses", async () => {
        const name = `reviewed-${Math.random().toString(36).slice(2)}`;
        const { stderr } = await kubectl.run(["create", "-f", "-"], reviewedConfigMap(name));
        return stderr.includes("refused by a pod");
      });
      await kubectl.ok(["delete", "validatingwebhookconfiguration", "echo"]);
    });

    test("what it was asked is in its audit log, and stays when the API server is killed", async () => {
      const { auditEvents, kubectl, restartApiServer, pidOf } = cluster();
      const pid = pidOf("kube-apiserver");
      await kubectl().ok(["create", "configmap", "kept", "-n", ns, "--from-literal=a=b"]);
      await restartApiServer("SIGKILL");
      assert.notEqual(pidOf("kube-apiserver"), pid);
      await kubectl().ok(["get", "configmap", "kept", "-n", ns]);
      const creations = (auditEvents() as { verb: string; objectRef?: { name?: string } }[]).filter(
        ({ verb, objectRef }) => verb === "create" && objectRef?.name === "kept",
      );
      assert.equal(creations.length, 1);
    });

    test("stopped, it leaves nothing but its folder; started again, it has what it had, and its pod comes back", async () => {
      const { name, stop, start, kubectl, directory } = cluster();
      await kubectl().ok(["create", "configmap", "over-the-night", "-n", ns, "--from-literal=a=b"]);
      const record = readRecord(name);
      assert.ok(record !== undefined);
      await stop();
      assert.deepEqual(tracesOf(record), [directory]);
      await start();
      const data = await kubectl().ok([
        "get",
        "configmap",
        "over-the-night",
        "-n",
        ns,
        "-o",
        "jsonpath={.data.a}",
      ]);
      assert.equal(data, "b");
      await echoIsReady(kubectl());
      await eventually("the pod answers by its name", async () => {
        const { podName } = await addresses(kubectl());
        return (await probe(kubectl(), "get", "http://echo/")).trim() === podName;
      });
    });
  });
}
