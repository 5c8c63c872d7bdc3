import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CtrlmeshError } from "#api/errors";
import { startControlPlane } from "../cluster/control-plane.ts";
import { checkFeatureGates } from "../cluster/feature-gates.ts";
import { kubectl } from "../cluster/kubectl.ts";
import { kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";

const main = fileURLToPath(new URL("../cluster/main.ts", import.meta.url));

async function tool(...args: readonly string[]) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  assert.equal(child.exitCode, 0, stderr);
  return stdout;
}

test("control plane: two API servers share what is stored, and one goes on when the other ends", async () => {
  await using plane = await startControlPlane({ version: olderKubernetesVersion, apiServers: 2 });
  const user = kubectl(plane.kubeconfig, olderKubernetesVersion);
  const other = ["--server", plane.urls[1] ?? ""];
  await user.ok(["create", "namespace", "here"]);
  assert.match(await user.ok(["get", "namespace", "here", "-o", "name", ...other]), /here/);
  const restarts = plane.restartApiServer(0);
  await user.ok(["create", "namespace", "meanwhile", ...other]);
  await restarts;
  assert.match(await user.ok(["get", "namespace", "meanwhile", "-o", "name"]), /meanwhile/);
  await plane.restartApiServer(1, "SIGTERM");
  await user.ok(["create", "namespace", "after", ...other]);
  const served = await user.ok(["get", "--raw", "/apis/admissionregistration.k8s.io/v1"]);
  assert.doesNotMatch(served, /mutatingadmissionpolicies/, "the older one has no such policies");
});

test("control plane: a feature gate takes effect, and one that a version does not know is refused", async () => {
  const featureGates = { ShardedListAndWatch: true };
  assert.throws(
    () => checkFeatureGates(olderKubernetesVersion, featureGates),
    (error) =>
      error instanceof CtrlmeshError && /unrecognized feature gate: ShardedListAndWatch/.test(error.message),
  );
  await using plane = await startControlPlane({ version: kubernetesVersion, featureGates });
  const half = "shardRange(object.metadata.namespace, '0x0000000000000000', '0x8000000000000000')";
  const list = await kubectl(plane.kubeconfig).ok([
    "get",
    "--raw",
    `/api/v1/configmaps?shardSelector=${encodeURIComponent(half)}`,
  ]);
  assert.match(list, /"shardInfo"/);
});

test("control plane: one that was started in the background is ended by stop", async () => {
  const { kubeconfig, owner } = JSON.parse(await tool("start", "--background", "-o", "json"));
  const listed = async (): Promise<readonly { kubeconfig: string }[]> =>
    JSON.parse(await tool("list", "-o", "json")).running;
  assert.ok((await listed()).some((plane) => plane.kubeconfig === kubeconfig));
  assert.match(await kubectl(kubeconfig).ok(["get", "--raw", "/readyz"]), /ok/);
  await tool("stop", "--pid", String(owner.pid));
  assert.ok((await listed()).every((plane) => plane.kubeconfig !== kubeconfig));
});
