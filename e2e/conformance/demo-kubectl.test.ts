import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { kubectl } from "../cluster/kubectl.ts";
import { kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";
import { eventually } from "../flow/eventually.ts";

/** What a user does with kubectl after `npm run demo -- --keep`, with a new kubectl and an older one. */

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let kubeconfig: string;
let demo: ChildProcess;
let output = "";

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ctrlmesh-demo-kubectl-"));
  kubeconfig = join(folder, "kubeconfig");
  const args = [join(root, "cli/main.ts"), "demo", "--keep", `--kubeconfig-file=${kubeconfig}`];
  demo = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [demo.stdout, demo.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk;
    });
  }
  await eventually("the demo keeps running", () => output.includes("export KUBECONFIG="), {
    withinMs: 60_000,
    detail: () => output,
  });
});

after(async () => {
  const gone = once(demo, "close");
  demo.kill("SIGINT");
  await gone;
  rmSync(folder, { recursive: true, force: true });
});

for (const version of [kubernetesVersion, olderKubernetesVersion]) {
  const scratch = `scratch-${version.replaceAll(".", "-")}`;
  const configMap = (value: string): string =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: scratch, namespace: "team-01" },
      data: { value },
    });

  test(`kubectl ${version}: get shows shards, ledger and pods in columns`, async () => {
    const user = kubectl(kubeconfig, version);
    const shards = await user.ok(["get", "shard", "-n", "demo"]);
    assert.match(shards, /^NAME +/);
    assert.match(shards, /digest-a[\s\S]*digest-b/);
    assert.match(await user.ok(["get", "ledger", "-n", "demo"]), /^NAME +/);
    assert.match(await user.ok(["get", "pods", "-n", "demo"]), /digest-operator-0 +2\/2 +Running/);
    assert.match(
      await user.ok(["get", "shardingconfig", "digest-a", "-n", "demo", "-o", "yaml"]),
      /kind: ShardingConfig/,
    );
  });

  test(`kubectl ${version}: describe and logs speak of the pods`, async () => {
    const user = kubectl(kubeconfig, version);
    assert.match(await user.ok(["describe", "shardingconfig", "digest-b", "-n", "demo"]), /Conditions:/);
    assert.match(await user.ok(["describe", "pod", "digest-operator-0", "-n", "demo"]), /ctrlmesh-proxy/);
    assert.match(
      await user.ok(["logs", "digest-operator-0", "-n", "demo", "-c", "operator"]),
      /watches ConfigMaps/,
    );
    assert.match(
      await user.ok(["logs", "digest-operator-0", "-n", "demo", "-c", "ctrlmesh-proxy"]),
      /"part":"proxy"/,
    );
  });

  test(`kubectl ${version}: apply in both ways, patch, label, watch and delete`, async () => {
    const user = kubectl(kubeconfig, version);
    await using watching = user.follow(["get", "configmaps", "-n", "team-01", "--watch"]);
    await watching.until(/source-1/);
    assert.match(await user.ok(["apply", "-f", "-"], configMap("1")), /created/);
    await watching.until(new RegExp(scratch));
    assert.match(await user.ok(["apply", "-f", "-"], configMap("1")), /unchanged/);
    assert.match(await user.ok(["apply", "-f", "-"], configMap("2")), /configured/);
    await user.ok([
      "patch",
      "configmap",
      scratch,
      "-n",
      "team-01",
      "--type=merge",
      "-p",
      '{"data":{"more":"1"}}',
    ]);
    await user.ok(["label", "configmap", scratch, "-n", "team-01", "team=one"]);
    const object = (await user.json(["get", "configmap", scratch, "-n", "team-01"])) as {
      data: unknown;
      metadata: { labels: Record<string, string> };
    };
    assert.deepEqual(object.data, { value: "2", more: "1" });
    assert.equal(object.metadata.labels["ctrlmesh.kusionstack.io/namespace"], "team-01");
    assert.match(await user.ok(["delete", "configmap", scratch, "-n", "team-01"]), /deleted/);
    const serverSide = ["apply", "--server-side", "-f", "-"];
    assert.match(await user.ok(serverSide, configMap("3")), /serverside-applied/);
    assert.match(await user.ok(serverSide, configMap("3")), /serverside-applied/);
    assert.match(await user.ok(["delete", "configmap", scratch, "-n", "team-01"]), /deleted/);
  });
}
