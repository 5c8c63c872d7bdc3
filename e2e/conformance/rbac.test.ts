import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";

/** The rights of examples/install, as a real API server sees them. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const manager = "system:serviceaccount:ctrlmesh:ctrlmesh-manager";

let plane: ControlPlane;
let user: Kubectl;

before(async () => {
  plane = await startControlPlane();
  user = kubectl(plane.kubeconfig);
  await user.ok(["apply", "-f", `${root}crds`]);
  await user.ok(["create", "namespace", "ctrlmesh"]);
  await user.ok(["wait", "--for=condition=Established", "--timeout=60s", "-f", `${root}crds`]);
  await user.ok(["apply", "-f", `${root}examples/install/manager-rbac.yaml`]);
});

after(async () => {
  await plane?.[Symbol.asyncDispose]();
});

/** `kubectl auth can-i` in the name of somebody: "verb resource" with what else kubectl takes. */
async function mayDo(who: readonly string[], question: string): Promise<boolean> {
  const { stdout, stderr } = await user.run(["auth", "can-i", ...question.split(" "), ...who]);
  assert.match(stdout, /^(yes|no)/, stderr);
  return stdout.startsWith("yes");
}

async function answers(who: readonly string[], questions: readonly string[]): Promise<string[]> {
  const granted: string[] = [];
  for (const question of questions) if (await mayDo(who, question)) granted.push(question);
  return granted;
}

test("D50: neither any pod nor anybody without credentials may read where the managers are", async () => {
  const group = "/apis/ctrlmesh.kusionstack.io/v1alpha1";
  const paths = [`${group}/managerstates`, `${group}/ownershipledgers`, `${group}/shardingconfigs`];
  for (const path of paths) {
    for (const query of ["", "?watch=true"]) {
      for (const who of [
        ["--as=system:anonymous", "--as-group=system:unauthenticated"],
        ["--as=system:serviceaccount:demo:default", "--as-group=system:authenticated"],
      ]) {
        const { exitCode, stderr } = await user.run(["get", "--raw", `${path}${query}`, ...who]);
        assert.equal(exitCode, 1, `${who[0]} got ${path}${query}`);
        assert.match(stderr, /Forbidden/);
      }
    }
    await user.ok(["get", "--raw", path, `--as=${manager}`]);
  }
});

test("D65: the manager may do its work and not what the work does not need", async () => {
  const needed = [
    "patch namespaces",
    "list pods -A",
    "delete pods -n demo",
    "create tokenreviews.authentication.k8s.io",
    "update shardingconfigs.ctrlmesh.kusionstack.io --subresource=status -n demo",
    "update ownershipledgers.ctrlmesh.kusionstack.io -n demo",
    "patch configmaps -n demo",
    "create configmaps -n demo",
    "update leases.coordination.k8s.io -n ctrlmesh",
    "get secrets -n ctrlmesh",
    "get services/kubernetes -n default",
    "create mutatingadmissionpolicies.admissionregistration.k8s.io",
  ];
  assert.deepEqual(await answers([`--as=${manager}`], needed), needed);
  const notNeeded = [
    "* *",
    "* * -n ctrlmesh",
    "get secrets -n demo",
    "list secrets -A",
    "get services/kube-dns -n kube-system",
    "create pods -n demo",
    "update pods -n demo",
    "create pods --subresource=exec -n demo",
    "delete configmaps -n demo",
    "delete secrets -n ctrlmesh",
    "create namespaces",
    "delete namespaces",
    "patch deployments.apps -n demo",
    "delete statefulsets.apps -n demo",
    "update leases.coordination.k8s.io -n kube-system",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "escalate clusterroles.rbac.authorization.k8s.io",
    "impersonate users",
    "create serviceaccounts --subresource=token -n demo",
    "update customresourcedefinitions.apiextensions.k8s.io",
    "delete shardingconfigs.ctrlmesh.kusionstack.io -n demo",
    "delete mutatingwebhookconfigurations.admissionregistration.k8s.io",
  ];
  assert.deepEqual(await answers([`--as=${manager}`], notNeeded), []);
});
