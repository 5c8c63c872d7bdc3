import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { testedVersions } from "../cluster/versions.ts";
import { objectsOf, release, render } from "./helm.ts";
import { valuesSets } from "./values-sets.ts";

/** Kinds of the monitoring objects, from the module of those who define them. */
const prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

function prometheusKinds(): string {
  const answer = execFileSync("go", ["mod", "download", "-json", prometheusOperator], { encoding: "utf8" });
  const { Dir: folder }: { Dir: string } = JSON.parse(answer);
  return join(folder, "example/prometheus-operator-crd");
}

const monitoring = ["servicemonitors", "podmonitors", "prometheusrules"];

for (const version of testedVersions) {
  describe(`chart: Kubernetes ${version}`, () => {
    let plane: ControlPlane;
    let admin: Kubectl;

    before(async () => {
      plane = await startControlPlane({ version });
      admin = kubectl(plane.kubeconfig, version);
      const kinds = monitoring.flatMap((name) => [
        "-f",
        join(prometheusKinds(), `monitoring.coreos.com_${name}.yaml`),
      ]);
      // Too long for the annotation of a client-side apply.
      await admin.ok(["apply", "--server-side", ...kinds]);
      await admin.ok(["wait", "--for=condition=Established", "--timeout=60s", ...kinds]);
      await admin.ok(["create", "namespace", release.namespace]);
      // What kube-controller-manager would make.
      await admin.ok(["-n", release.namespace, "create", "serviceaccount", "default"]);
    });

    after(async () => {
      await plane?.[Symbol.asyncDispose]();
    });

    for (const [name, values] of Object.entries({ ...valuesSets, kinds: {} })) {
      test(`it takes each object of the values "${name}", strictly`, async () => {
        const manifests = await render(values, version);
        const argv = [
          "apply",
          "--server-side",
          "--dry-run=server",
          "--validate=strict",
          "-o",
          "name",
          "-f",
          "-",
        ];
        const taken = (await admin.ok(argv, manifests)).trim().split("\n");
        assert.equal(taken.length, objectsOf(manifests).length);
      });
    }
  });
}
