import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DevCluster, startCluster } from "#devcluster/cluster";
import { silentLog } from "#runtime/log";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, type KubectlOutput, kubectl } from "../cluster/kubectl.ts";
import { kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";
import { type KubectlStep, kubectlSteps } from "./kubectl-steps.ts";

/** kubectl against the embedded API server: each step as on a real one, with the newest kubectl and an older one. */

const crds = fileURLToPath(new URL("../../crds", import.meta.url));

/** A container that tells who it is, then waits; the first one of a pod may be told to fail once. */
const images = {
  sleeper: [
    process.execPath,
    "-e",
    "console.log('I am ' + process.env.WHO); setInterval(() => console.log('still here'), 200)",
  ],
};

let real: ControlPlane;
let embedded: DevCluster;

before(async () => {
  real = await startControlPlane({ controllerManager: true });
  embedded = await startCluster({ port: 0, log: silentLog, images });
});

after(async () => {
  await embedded?.[Symbol.asyncDispose]();
  await real?.[Symbol.asyncDispose]();
});

async function prepare(user: Kubectl): Promise<void> {
  await user.ok(["apply", "--server-side", "-f", crds]);
  await user.ok(["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]);
  await user.ok(["delete", "namespace", "demo", "--ignore-not-found", "--timeout=60s"]);
  await user.ok(["create", "namespace", "demo"]);
  for (const made of ["serviceaccount/default", "configmap/kube-root-ca.crt"])
    await user.ok(["wait", "--for=create", made, "-n", "demo", "--timeout=30s"]);
}

/** What differs from run to run: times, ages, versions, UIDs, the CA. */
function lasting({ stdout, stderr }: KubectlOutput): string {
  return `${stdout}${stderr === "" ? "" : `--- stderr\n${stderr}`}`
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "UID")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "TIME")
    .replace(/(resourceVersion"?: )"\d+"/g, '$1"N"')
    .replace(/(Resource Version: +)\d+/g, "$1N")
    .replace(/\b(\d+m)?\d+s\b/g, "AGE")
    .replace(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g, "PEM")
    .replace(/ +/g, " ")
    .replace(/ +$/gm, "");
}

const versions = [kubernetesVersion, olderKubernetesVersion];

for (const version of versions) {
  test(`kubectl ${version}: every step ends as stated and prints what it prints on a real API server`, async (context) => {
    const users = [kubectl(real.kubeconfig, version), kubectl(embedded.kubeconfig, version)] as const;
    await Promise.all(users.map(prepare));
    for (const [index, step] of kubectlSteps.entries()) {
      // Steps build on each other; one that fails is told and does not hide those behind it.
      await context.test(`${index + 1} kubectl ${step.args.join(" ")}`, async () => {
        const [onReal, onEmbedded] = await Promise.all(users.map((user) => user.run(step.args, step.stdin)));
        assert.ok(onReal && onEmbedded);
        isAsStated(step, onReal, "real API server");
        isAsStated({ ...step, ...step.embedded }, onEmbedded, "embedded API server");
        if (step.differs === undefined && step.embedded === undefined)
          assert.equal(lasting(onEmbedded), lasting(onReal));
      });
    }
  });
}

for (const version of versions) {
  test(`kubectl ${version}: get --watch prints the same changes on both API servers, as they come`, async () => {
    const printed: string[] = [];
    for (const kubeconfig of [real.kubeconfig, embedded.kubeconfig]) {
      const user = kubectl(kubeconfig, version);
      await prepare(user);
      const args = [
        "get",
        "shard",
        "-n",
        "demo",
        "--watch",
        "--output-watch-events",
        "-L",
        "team",
        "-l",
        "team",
      ];
      await using watching = user.follow(args);
      const shard = (spec: object) => ({
        apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
        kind: "ShardingConfig",
        metadata: { name: "watched", namespace: "demo", labels: { team: "a" } },
        spec: {
          selector: { matchLabels: { app: "op" } },
          limits: [{ relateResources: [{ resources: ["pods"] }] }],
          ...spec,
        },
      });
      await user.ok(["apply", "-f", "-"], JSON.stringify(shard({})));
      await watching.until(/ADDED +watched .* a\n/);
      const status = '{"status": {"podsReady": "1/2", "atoms": {"held": "team-a"}}}';
      const name = ["shard", "watched", "-n", "demo"];
      await user.ok(["patch", ...name, "--subresource=status", "--type=merge", "-p", status]);
      await watching.until(/MODIFIED +watched +1\/2 +team-a /);
      await user.ok(["label", ...name, "--overwrite", "team=b"]);
      await watching.until(/MODIFIED .* b\n/);
      // Out of the selector is DELETED, back in is ADDED.
      await user.ok(["label", ...name, "team-"]);
      await watching.until(/DELETED/);
      await user.ok(["label", ...name, "team=c"]);
      await watching.until(/ADDED .* c\n/);
      await user.ok(["delete", ...name]);
      await watching.until(/DELETED .* c\n/);
      printed.push(lasting({ exitCode: 0, stdout: watching.printed, stderr: "" }));
    }
    assert.equal(printed[1], printed[0]);
  });

  test(`kubectl ${version}: every resource of the embedded API server is announced as on a real one`, async () => {
    const rows = async (kubeconfig: string): Promise<string[]> => {
      const user = kubectl(kubeconfig, version);
      await prepare(user);
      const table = await user.ok(["api-resources", "--no-headers", "-o", "wide", "--sort-by=name"]);
      return table.split("\n").map((line) => {
        const words = line.trim().split(/ +/);
        // The order of the verbs means nothing.
        return [...words.slice(0, -1), words.at(-1)?.split(",").sort().join(",")].join(" ");
      });
    };
    const onReal = new Set(await rows(real.kubeconfig));
    const onEmbedded = await rows(embedded.kubeconfig);
    assert.ok(onEmbedded.some((row) => row.startsWith("shardingconfigs shard ")));
    assert.deepEqual(
      onEmbedded.filter((row) => !onReal.has(row)),
      [],
    );
  });

  test(`kubectl ${version}: a pod runs, speaks and goes on the embedded cluster`, async () => {
    const user = kubectl(embedded.kubeconfig, version);
    await prepare(user);
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "speaker", namespace: "demo", labels: { app: "speaker" } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: ["one", "two"].map((name) => ({
          name,
          image: "sleeper",
          env: [{ name: "WHO", value: `${name} of $(POD)` }]
            .concat({ name: "POD", value: "speaker" })
            .reverse(),
        })),
      },
    };
    await using watching = user.follow(["get", "pods", "-n", "demo", "--watch"]);
    await user.ok(["apply", "-f", "-"], JSON.stringify(pod));
    await user.ok(["wait", "pod/speaker", "-n", "demo", "--for=condition=Ready", "--timeout=30s"]);
    await watching.until(/speaker +2\/2 +Running +0 /);
    assert.match(
      await user.ok(["get", "pod", "speaker", "-n", "demo", "-o", "wide"]),
      /127\.\d+\.\d+\.\d+ +devcluster/,
    );
    assert.match(
      await user.ok(["get", "pods", "-n", "demo", "--field-selector=status.phase=Running"]),
      /speaker/,
    );
    assert.equal(
      (await user.ok(["logs", "speaker", "-n", "demo", "-c", "one"])).split("\n")[0],
      "I am one of speaker",
    );
    assert.match(
      await user.ok(["logs", "-l", "app=speaker", "-n", "demo", "--all-containers", "--prefix"]),
      /pod\/speaker\/two\] /,
    );
    assert.equal(await user.ok(["logs", "speaker", "-n", "demo", "-c", "two", "--tail=1"]), "still here\n");
    const { exitCode, stderr } = await user.run(["logs", "speaker", "-n", "demo", "-c", "absent"]);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^error: container absent is not valid for pod speaker/);
    await using logs = user.follow(["logs", "speaker", "-n", "demo", "-c", "two", "--follow"]);
    await logs.until(/I am two of speaker\n(still here\n){3}/);
    assert.match(await user.ok(["describe", "pod", "speaker", "-n", "demo"]), /Ready +True/);
    const exec = await user.run(["exec", "speaker", "-n", "demo", "-c", "one", "--", "true"]);
    assert.equal(exec.exitCode, 1, "there is no exec, and it says so");
    assert.match(exec.stderr, /404|405|NotFound|not (allowed|supported|find)/i);
    await user.ok(["delete", "pod", "speaker", "-n", "demo", "--timeout=30s"]);
    await watching.until(/Terminating/);
    assert.match((await user.run(["get", "pod", "speaker", "-n", "demo"])).stderr, /NotFound/);
  });
}

function isAsStated(
  step: Pick<KubectlStep, "exitCode" | "says">,
  output: KubectlOutput,
  where: string,
): void {
  const said = `${output.stdout}${output.stderr}`;
  assert.equal(output.exitCode, step.exitCode ?? 0, `${where}: ${said}`);
  if (step.says !== undefined) assert.match(said, step.says, where);
}
