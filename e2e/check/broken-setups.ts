import assert from "node:assert/strict";
import { join } from "node:path";
import type { KubernetesObject } from "#api/meta";
import { issueCertificate } from "#runtime/x509";
import { eventually } from "../flow/eventually.ts";
import { root } from "../flow/mesh.ts";
import { managerKubeconfig } from "../reality/real-mesh.ts";
import { type CheckBed, namespaceObject, operatorPod, type PrintedReport, shard } from "./check-bed.ts";
import { openOldVersionFront } from "./old-version-front.ts";

/** A set-up that is broken on purpose, and what the check must say of it. */
export interface BrokenSetup {
  readonly title: string;
  /** Breaks it, and returns what undoes that. */
  readonly brk: (bed: CheckBed) => Promise<() => Promise<void>>;
  /** Code of the finding that names the cause. */
  readonly code: string;
  readonly level?: "error" | "warning" | "info";
  readonly where: RegExp;
  readonly what: RegExp;
  /** What to do: the words that matter. */
  readonly remedy: RegExp;
  /** Errors that follow from the same cause. */
  readonly also?: readonly string[];
  /** How the check is called; default: `check` by the administrator. */
  readonly check?: (bed: CheckBed) => Promise<PrintedReport>;
}

const ourGroup = "ctrlmesh.kusionstack.io";

/** Takes an object away and brings it back as it was, without what the API server sets. */
async function without(bed: CheckBed, args: readonly string[]): Promise<() => Promise<void>> {
  const object = (await bed.admin.json(["get", ...args])) as { metadata: Record<string, unknown> };
  for (const key of ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"])
    delete object.metadata[key];
  await bed.admin.ok(["delete", ...args]);
  return async () => {
    // The manager may have been faster.
    await bed.admin.run(["create", "-f", "-"], JSON.stringify(object));
    await bed.admin.ok(["get", ...args]);
  };
}

/** Changes an object by a JSON patch and undoes it by another one. */
async function patched(
  bed: CheckBed,
  args: readonly string[],
  change: readonly unknown[],
  undo: readonly unknown[],
): Promise<() => Promise<void>> {
  const patch = (operations: readonly unknown[]) =>
    bed.admin.ok(["patch", ...args, "--type=json", "-p", JSON.stringify(operations)]);
  await patch(change);
  return async () => void (await patch(undo));
}

async function applied(bed: CheckBed, ...items: readonly KubernetesObject[]): Promise<() => Promise<void>> {
  await bed.apply(...items);
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  return async () => {
    await bed.admin.ok(["delete", "--ignore-not-found", "--wait=true", "--timeout=50s", "-f", "-"], list);
  };
}

async function secretText(bed: CheckBed, name: string, key: string): Promise<string> {
  const secret = (await bed.admin.json(["-n", "ctrlmesh", "get", "secret", name])) as {
    data: Record<string, string>;
  };
  return Buffer.from(secret.data[key] ?? assert.fail(key), "base64").toString("utf8");
}

const replace = (path: string, value: unknown) => ({ op: "replace", path, value });

/** With the manager running, which puts right within a minute what it owns. */
export const whileManaged: readonly BrokenSetup[] = [
  {
    title: "a kind is not installed",
    brk: (bed) => without(bed, ["crd", `faultinjections.${ourGroup}`]),
    code: "CrdMissing",
    where: /faultinjections/,
    what: /not installed/,
    remedy: /kubectl apply --server-side -f crds\//,
  },
  {
    title: "a kind is of an older version",
    brk: async (bed) => {
      const file = join(root, "crds", `${ourGroup}_circuitbreakers.yaml`);
      const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/rateLimitings";
      await bed.admin.ok([
        "patch",
        "crd",
        `circuitbreakers.${ourGroup}`,
        "--type=json",
        "-p",
        JSON.stringify([{ op: "remove", path }]),
      ]);
      return async () =>
        void (await bed.admin.ok(["apply", "--server-side", "--force-conflicts", "-f", file]));
    },
    code: "CrdOutdated",
    where: /circuitbreakers/,
    what: /schema\.properties\.spec\.properties\.rateLimitings differs/,
    remedy: /kubectl apply --server-side/,
  },
  {
    title: "the manager lacks a rule of RBAC",
    brk: async (bed) => {
      const role = (await bed.admin.json(["get", "clusterrole", "ctrlmesh-manager"])) as {
        rules: { resources: string[] }[];
      };
      const index = role.rules.findIndex(({ resources }) => resources.includes("tokenreviews"));
      const path = `/rules/${index}`;
      const rules = [{ op: "add", path, value: role.rules[index] }];
      return await patched(bed, ["clusterrole", "ctrlmesh-manager"], [{ op: "remove", path }], rules);
    },
    code: "ManagerRightsMissing",
    where: /ServiceAccount ctrlmesh\/ctrlmesh-manager/,
    what: /may not create tokenreviews\.authentication\.k8s\.io: needed for identity of proxies/,
    remedy: /RBAC of the installation/,
  },
  {
    title: "the API server can't reach the webhooks",
    brk: async (bed) => {
      const port = bed.manager.webhookPort;
      const path = "/webhooks/0/clientConfig/url";
      const url = (at: number) => `https://127.0.0.1:${at}/validate-ctrlmesh-shardingconfig`;
      const name = ["validatingwebhookconfiguration", "ctrlmesh-validating"];
      return await patched(bed, name, [replace(path, url(1))], [replace(path, url(port))]);
    },
    code: "WebhookDown",
    where: /ctrlmesh-validating/,
    what: /connection refused/,
    remedy: /Service ctrlmesh-webhook-service/,
  },
  {
    title: "the webhooks have the wrong CA",
    brk: async (bed) => {
      const path = "/webhooks/0/clientConfig/caBundle";
      const name = ["validatingwebhookconfiguration", "ctrlmesh-validating"];
      const meshCa = Buffer.from(await secretText(bed, "ctrlmesh-ca", "ca.crt")).toString("base64");
      const other = Buffer.from(bed.plane.caPem).toString("base64");
      return await patched(bed, name, [replace(path, other)], [replace(path, meshCa)]);
    },
    code: "WebhookCaWrong",
    where: /ctrlmesh-validating/,
    what: /shardingconfigs\.ctrlmesh\.kusionstack\.io: the API server refuses the manager's certificate/,
    remedy: /see that one leads/,
  },
  {
    title: "the webhooks are not configured",
    brk: (bed) => without(bed, ["mutatingwebhookconfiguration", "ctrlmesh-mutating"]),
    code: "WebhookMissing",
    where: /MutatingWebhookConfiguration ctrlmesh-mutating/,
    what: /pods are not injected/,
    remedy: /see that one leads/,
  },
  {
    title: "an admission policy is gone",
    brk: (bed) => without(bed, ["validatingadmissionpolicy", "ctrlmesh-protect-labels"]),
    code: "PolicyMissing",
    where: /ctrlmesh-protect-labels/,
    what: /may move its objects/,
    remedy: /see that one leads/,
  },
  {
    title: "an admission policy is not bound",
    brk: (bed) => without(bed, ["validatingadmissionpolicybinding", "ctrlmesh-require-proxy-namespaces"]),
    code: "PolicyUnbound",
    where: /ctrlmesh-require-proxy/,
    what: /ctrlmesh-require-proxy-namespaces is missing.*start without its proxy/,
    remedy: /see that one leads/,
  },
  {
    title: "an opted-in namespace has no CA bundle",
    brk: (bed) => without(bed, ["-n", "ops", "configmap", "ctrlmesh-ca"]),
    code: "BundleMissing",
    where: /ConfigMap ops\/ctrlmesh-ca/,
    what: /pods of the namespace wait/,
    remedy: /see that one leads/,
  },
  {
    title: "a CA bundle has the authority of another cluster",
    brk: async (bed) => {
      const restore = await without(bed, ["-n", "ops", "configmap", "ctrlmesh-ca"]);
      const create = [
        "-n",
        "ops",
        "create",
        "configmap",
        "ctrlmesh-ca",
        `--from-literal=ca.crt=${bed.plane.caPem}`,
      ];
      await bed.admin.run(["-n", "ops", "delete", "configmap", "ctrlmesh-ca"]);
      await bed.admin.ok(create);
      return async () => {
        await bed.admin.ok(["-n", "ops", "delete", "configmap", "ctrlmesh-ca"]);
        await restore();
      };
    },
    code: "BundleStale",
    where: /ConfigMap ops\/ctrlmesh-ca/,
    what: /lacks the mesh CA as it is now/,
    remedy: /see that one leads/,
  },
  {
    title: "two shards claim the same namespace",
    brk: (bed) => applied(bed, shard("ops", "third-a", { operator: "In", values: ["team-a"] })),
    code: "ShardsOverlap",
    where: /ShardingConfig ops\//,
    what: /claims namespaces team-a too/,
    remedy: /one of the selectors/,
  },
  {
    title: "no shard claims the other namespaces",
    brk: (bed) =>
      applied(
        bed,
        namespaceObject("gap"),
        shard("gap", "gap-a", { operator: "In", values: ["team-a"] }),
        shard("gap", "gap-b", { operator: "In", values: ["team-b"] }),
      ),
    code: "ShardsGap",
    level: "warning",
    where: /ShardingConfig gap\/gap-a/,
    what: /no shard of the group claims buckets 0-31: nobody acts/,
    remedy: /NotIn/,
  },
  {
    title: "a pod that a ShardingConfig selects has no proxy",
    brk: (bed) =>
      applied(
        bed,
        namespaceObject("bare"),
        shard("bare", "bare-a", { operator: "NotIn", values: ["nobody"] }),
        operatorPod("bare", "operator-0"),
      ),
    code: "UninjectedPods",
    where: /Pod bare\/operator-0/,
    what: /bare-a selects it and it has no proxy/,
    remedy: /kubectl annotate namespace bare ctrlmesh\.kusionstack\.io\/enable-proxy=true/,
  },
  {
    title: "an operator may use its lock by its own name only",
    brk: (bed) =>
      applied(
        bed,
        namespaceObject("locks", true),
        ...lockRoles,
        shard("locks", "lock-a", { operator: "NotIn", values: ["nobody"] }, { lock: "operator-lock" }),
        operatorPod("locks", "operator-0"),
      ),
    code: "LeaseForbidden",
    where: /ServiceAccount locks\/default/,
    what: /may not get and update Lease locks\/operator-lock---lock-a/,
    remedy: /create role operator-lock---lock-a --verb=get,update/,
  },
  {
    title: "a ledger was edited by hand",
    brk: (bed) =>
      applied(bed, namespaceObject("odd"), {
        apiVersion: `${ourGroup}/v1alpha1`,
        kind: "OwnershipLedger",
        metadata: { namespace: "odd", name: "odd" },
        spec: {
          group: "odd",
          hash: "murmur3",
          term: 1,
          epoch: 1,
          atoms: [{ atom: "bucket/0", shard: "", state: "Free", epoch: 0 }],
          shards: [],
        },
      }),
    code: "LedgerCorrupt",
    where: /OwnershipLedger odd\/odd/,
    what: /has 1 of 32 buckets/,
    remedy: /nothing is granted by it/,
  },
  {
    title: "the API server is too old",
    brk: async () => async () => undefined,
    check: async (bed) => {
      await using front = await openOldVersionFront(bed.plane.kubeconfig, bed.folder, "v1.27.9");
      return await bed.check([], front.kubeconfig);
    },
    code: "ApiServerTooOld",
    where: /API server v1\.27\.9/,
    what: /ValidatingAdmissionPolicy/,
    remedy: /upgrade the cluster to Kubernetes 1\.30/,
  },
  {
    title: "whoever wants to install may not",
    brk: async () => async () => undefined,
    // The manager's service account is a user without the rights to install.
    check: async (bed) =>
      await bed.check(["--pre"], await managerKubeconfig(bed.plane, bed.admin, bed.folder)),
    code: "InstallRightsMissing",
    where: /your user/,
    what: /may not create customresourcedefinitions\.apiextensions\.k8s\.io/,
    remedy: /administrator/,
  },
];

const lockRoles = [
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { namespace: "locks", name: "operator" },
    rules: [
      {
        apiGroups: ["coordination.k8s.io"],
        resources: ["leases"],
        resourceNames: ["operator-lock"],
        verbs: ["get", "update"],
      },
    ],
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { namespace: "locks", name: "operator" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "operator" },
    subjects: [{ kind: "ServiceAccount", name: "default", namespace: "locks" }],
  },
];

/** What follows from a manager that is down. */
const down = ["ManagerDown", "WebhookDown"];

/** With the manager ended: it would put these right at once, or is the cause itself. */
export const withoutManager: readonly BrokenSetup[] = [
  {
    title: "no manager runs",
    brk: async () => async () => undefined,
    code: "ManagerDown",
    where: /Lease ctrlmesh\/ctrlmesh-manager/,
    what: /renewed the lease \d+ s ago and no replica took it over|no replica holds the lease/,
    remedy: /kubectl -n ctrlmesh get pods/,
    also: ["WebhookDown"],
  },
  {
    title: "the webhooks' certificate has expired",
    brk: async (bed) => {
      const authority = {
        certificatePem: await secretText(bed, "ctrlmesh-ca", "tls.crt"),
        privateKeyPem: await secretText(bed, "ctrlmesh-ca", "tls.key"),
      };
      const { certificatePem } = await issueCertificate(authority, {
        commonName: "webhook",
        dnsNames: [],
        ipAddresses: ["127.0.0.1"],
        days: 90,
        usage: "server",
        now: new Date(Date.now() - 100 * 86_400_000),
      });
      const before = await secretText(bed, "ctrlmesh-webhook-certs", "tls.crt");
      const encoded = (pem: string) => Buffer.from(pem).toString("base64");
      return await patched(
        bed,
        ["-n", "ctrlmesh", "secret", "ctrlmesh-webhook-certs"],
        [replace("/data/tls.crt", encoded(certificatePem))],
        [replace("/data/tls.crt", encoded(before))],
      );
    },
    code: "CertificateExpired",
    where: /Secret ctrlmesh\/ctrlmesh-webhook-certs/,
    what: /expired on \d{4}-/,
    remedy: /manager renews it/,
    also: down,
  },
  {
    title: "the mesh CA is gone",
    brk: (bed) => without(bed, ["-n", "ctrlmesh", "secret", "ctrlmesh-ca"]),
    code: "CertificateMissing",
    where: /Secret ctrlmesh\/ctrlmesh-ca/,
    what: /no certificate/,
    remedy: /start the manager/,
    also: down,
  },
  {
    title: "a proxy is much older than the manager",
    brk: async (bed) => {
      const patch = (pods: unknown) =>
        bed.admin.ok([
          ...[
            "-n",
            "ops",
            "patch",
            "shardingconfig",
            "shard-a",
            "--subresource=status",
            "--type=merge",
            "-p",
          ],
          JSON.stringify({ status: { pods } }),
        ]);
      const pod = { name: "operator-0", uid: "uid-0", proxyVersion: "0.9.0" };
      await patch([pod]);
      return async () => void (await patch([]));
    },
    code: "VersionSkew",
    where: /Pod ops\/operator-0/,
    what: /version 0\.9\.0, 8 minor versions ahead of the manager's 0\.1\.0/,
    remedy: /delete pod operator-0/,
    also: down,
  },
  {
    title: "the manager's clock is ahead",
    brk: async (bed) => {
      const patch = (renewTime: string) =>
        bed.admin.ok([
          ...["-n", "ctrlmesh", "patch", "lease", "ctrlmesh-manager", "--type=merge", "-p"],
          JSON.stringify({ spec: { holderIdentity: "manager-fast", leaseDurationSeconds: 3, renewTime } }),
        ]);
      const at = (ms: number) => new Date(ms).toISOString().replace("Z", "000Z");
      await patch(at(Date.now() + 300_000));
      return async () => void (await patch(at(Date.now() - 60_000)));
    },
    code: "ClockSkew",
    where: /Lease ctrlmesh\/ctrlmesh-manager/,
    what: /clock of manager-fast is (2[5-9]\d|30\d) s ahead of the API server's/,
    remedy: /NTP/,
    also: ["WebhookDown"],
  },
  {
    title: "objects carry no labels",
    brk: async (bed) => {
      const undo = await applied(bed, namespaceObject("unseen"), {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { namespace: "unseen", name: "first" },
      });
      await eventually("the objects are there", async () => {
        const { stdout } = await bed.admin.run(["-n", "unseen", "get", "configmap", "-o", "name"]);
        return stdout.includes("kube-root-ca.crt") && stdout.includes("first");
      });
      return undo;
    },
    code: "UnlabelledObjects",
    where: /^configmaps$/,
    what: /2 objects carry no shard labels.*unseen\/first/,
    remedy: /status\.coverage/,
    also: down,
  },
];
