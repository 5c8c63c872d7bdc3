/**
 * What users do with kubectl, in order, in namespace `demo`. Each step runs against every API server, must end as
 * stated, and must print the same on all of them.
 */
export interface KubectlStep {
  readonly args: readonly string[];
  readonly stdin?: string;
  /** Default 0. */
  readonly exitCode?: number;
  /** Must occur in what it prints, standard error included. */
  readonly says?: RegExp;
  /** Why the servers need not agree to the letter. */
  readonly differs?: string;
  /** How the embedded API server is known to end otherwise, and why. */
  readonly embedded?: { readonly exitCode: number; readonly says: RegExp; readonly because: string };
}

const step = (line: string, says?: RegExp, more: Partial<KubectlStep> = {}): KubectlStep => ({
  args: line.split(" "),
  ...(says === undefined ? {} : { says }),
  ...more,
});

/** The last word is what follows `-p`: it may hold spaces. */
const patch = (line: string, body: unknown, says?: RegExp, more: Partial<KubectlStep> = {}): KubectlStep => ({
  ...step(line, says, more),
  args: [...line.split(" "), "-p", JSON.stringify(body)],
});

const undocumented = "the embedded one has no descriptions of built-in kinds";
const noCel = "the embedded one evaluates no CEL rules; the admission webhook does the same there";
const failing = { exitCode: 1 } as const;
const json = (value: unknown): { readonly stdin: string } => ({ stdin: JSON.stringify(value) });
const configMap = (data: unknown, metadata: object = {}) =>
  json({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "settings", namespace: "demo", ...metadata },
    data,
  });
const shard = (spec: object, name = "shard") =>
  json({
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    metadata: { name, namespace: "demo" },
    spec: {
      selector: { matchLabels: { app: "op" } },
      limits: [{ relateResources: [{ apiGroups: [""], resources: ["configmaps"] }] }],
      ...spec,
    },
  });
const statefulSet = json({
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name: "idle", namespace: "demo" },
  spec: {
    replicas: 0,
    serviceName: "idle",
    selector: { matchLabels: { app: "idle" } },
    template: {
      metadata: { labels: { app: "idle" } },
      spec: {
        containers: [
          { name: "one", image: "one" },
          { name: "two", image: "two", env: [{ name: "A", value: "1" }] },
        ],
      },
    },
  },
});

export const kubectlSteps: readonly KubectlStep[] = [
  step("version", /Server Version: v1\./, { differs: "versions" }),
  step("cluster-info", /is running at/, { differs: "addresses" }),
  step("get --raw /readyz", /ok/),
  step("auth whoami", /system:masters/, { differs: "names of the administrators" }),
  step("auth can-i delete pods -n demo", /yes/),
  step("auth can-i delete pods -n demo --as=somebody", /no/, failing),
  step("create token default -n demo", /^eyJ/, { differs: "signatures" }),

  step("create -f -", /configmap\/settings created/, configMap({ a: "1" })),
  step("create -f -", /AlreadyExists/, { ...configMap({ a: "1" }), ...failing }),
  step("get configmap settings -n demo", /settings +1/),
  step("get cm,sa -n demo --show-labels"),
  step("get cm -A", /kube-system/, { differs: "a real one has more namespaces of its own" }),
  step("get cm settings -n demo -o yaml", /a: "1"/),
  step("get cm settings -n demo -o json", /"a": "1"/),
  step("get cm settings -n demo -o name", /^configmap\/settings/),
  step("get cm settings -n demo -o jsonpath={.data.a}", /^1/),
  step("get cm -n demo -o custom-columns=NAME:.metadata.name,A:.data.a", /settings +1/),
  step("get cm -n demo -o wide --sort-by=.metadata.name"),
  step("get cm -n demo --chunk-size=1", /settings/),
  step("get cm -n demo --field-selector=metadata.name=settings", /settings/),
  step("get cm -n demo --field-selector=data.a=1", /"data.a" is not a known field selector/, failing),
  step("get cm -n demo -l absent=x", /No resources found/),
  step("get cm -n demo -l ((", /that match label selector "\(\("/, {
    ...failing,
    differs: "words of the parser",
  }),
  step("get cm absent -n demo", /NotFound/, failing),
  step("get nonsense -n demo", /doesn't have a resource type/, failing),
  step("get --raw /apis/nonsense/v1", /NotFound/, failing),
  step("get cm settings -n demo --v=0 --output-watch-events", /can only be used with --watch/, failing),
  step("describe cm settings -n demo", /BinaryData/),
  step("describe ns demo", /Status: +Active/, {
    differs: "without quotas the embedded one has none to show",
  }),

  step("label cm settings -n demo team=a", /labeled/),
  step("label cm settings -n demo team=b", /already has a value/, failing),
  step("label cm settings -n demo team=b --overwrite", /labeled/),
  step("get cm -n demo -l team=b -L team", /settings +1 .* b/),
  step("get cm -n demo -l team!=b,!absent -o name"),
  step("get cm -n demo -l team+in+(a,b) -o name".replaceAll("+", " "), undefined, {
    args: ["get", "cm", "-n", "demo", "-l", "team in (a,b)", "-o", "name"],
  }),
  step("label cm settings -n demo team-", /unlabeled/),
  step("label cm settings -n demo bad=-x", /invalid label value/, failing),
  step("annotate cm settings -n demo note=one", /annotated/),
  step("annotate cm settings -n demo note-", /annotated/),

  step("annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy=true", /annotated/),
  step("annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy-", /annotated/),

  patch("patch cm settings -n demo --type=merge", { data: { a: null, b: "2" } }, /patched/),
  patch("patch cm settings -n demo --type=merge", { data: { b: "2" } }, /patched \(no change\)/),
  patch("patch cm settings -n demo --type=json", [{ op: "add", path: "/data/c", value: "3" }], /patched/),
  patch(
    "patch cm settings -n demo --type=json",
    [{ op: "test", path: "/data/c", value: "4" }],
    /The request is invalid/,
    { ...failing, differs: "the embedded one says why" },
  ),
  patch(
    "patch cm settings -n demo --type=json",
    [{ op: "remove", path: "/data/x" }],
    /The request is invalid/,
    { ...failing, differs: "the embedded one says why" },
  ),
  patch("patch cm settings -n demo --type=strategic", { data: { $patch: "replace", d: "4" } }, /patched/),
  patch(
    "patch cm settings -n demo --type=merge",
    { data: { b: 5 } },
    /cannot unmarshal number into Go struct field ConfigMap.data of type string/,
    { ...failing, differs: "a real one repeats the whole object" },
  ),
  step("get cm settings -n demo -o jsonpath={.data}", /d/),
  step("replace -f -", /replaced/, configMap({ e: "5" })),
  step("replace -f -", /Conflict|modified/, {
    ...configMap({ e: "6" }, { resourceVersion: "1" }),
    ...failing,
  }),

  step("apply -f -", /created/, configMap({ a: "1" }, { name: "applied" })),
  step("apply -f -", /unchanged/, configMap({ a: "1" }, { name: "applied" })),
  step("apply -f -", /configured/, configMap({ b: "2" }, { name: "applied" })),
  step("get cm applied -n demo -o jsonpath={.data}", /^\{"b":"2"\}/),
  step("diff -f -", /\+ {2}b: "3"/, {
    ...configMap({ b: "3" }, { name: "applied" }),
    ...failing,
    differs: "the folders of the diff have random names",
  }),
  step("apply --server-side -f -", /serverside-applied/, configMap({ a: "1" }, { name: "ssa" })),
  step("apply --server-side -f -", /serverside-applied/, configMap({ a: "1" }, { name: "ssa" })),
  step("apply --server-side --field-manager=other -f -", /conflict/, {
    ...configMap({ a: "2" }, { name: "ssa" }),
    ...failing,
  }),
  step(
    "apply --server-side --field-manager=other --force-conflicts -f -",
    /serverside-applied/,
    configMap({ a: "2" }, { name: "ssa" }),
  ),
  step("get cm ssa -n demo -o yaml --show-managed-fields", /manager: other/),
  step(
    "apply --server-side --field-manager=other -f -",
    /serverside-applied/,
    configMap({ z: "2" }, { name: "ssa" }),
  ),
  step("get cm ssa -n demo -o yaml --show-managed-fields", /z: "2"/),
  step("apply --server-side -f -", /serverside-applied/, configMap({ b: "2" }, { name: "applied" })),
  step("get cm applied -n demo -o yaml --show-managed-fields"),
  step("apply --dry-run=server -f -", /created \(server dry run\)/, configMap({ a: "1" }, { name: "dry" })),
  step("get cm dry -n demo", /NotFound/, failing),
  step("create secret generic key -n demo --from-literal=k=v", /created/),
  step("describe secret key -n demo", /k: +1 bytes/),

  step("apply -f -", /created/, statefulSet),
  step("apply -f -", /unchanged/, statefulSet),
  step("get sts -n demo", /idle +0\/0/),
  step("get sts idle -n demo -o yaml", /podManagementPolicy: OrderedReady/, {
    differs: "counters and revisions of the status",
  }),
  step("describe sts idle -n demo", /Replicas: +0 desired/),
  patch(
    "patch sts idle -n demo",
    { spec: { template: { spec: { containers: [{ name: "two", env: [{ name: "B", value: "2" }] }] } } } },
    /patched/,
  ),
  step("get sts idle -n demo -o jsonpath={.spec.template.spec.containers}", /"name":"one"/),
  patch(
    "patch sts idle -n demo",
    { spec: { template: { spec: { containers: [{ name: "one", $patch: "delete" }] } } } },
    /patched/,
  ),
  step("get sts idle -n demo -o jsonpath={.spec.template.spec.containers[*].name}", /^two/),
  patch("patch sts idle -n demo --type=merge", { spec: { serviceName: "other" } }, /[Ff]orbidden/, failing),
  step("scale sts idle -n demo --replicas=0", /scaled/),
  step("set image sts/idle two=three -n demo", /image updated/),

  step("apply -f -", /created/, shard({})),
  step("apply -f -", /unchanged/, shard({})),
  step(
    "apply --server-side --field-manager=other -f -",
    /serverside-applied/,
    shard({ onLoss: "Relist" }, "second"),
  ),
  step("get shard -n demo", /NAME +PODS +OWNED +PENDING +READY/),
  step("get shardingconfigs.ctrlmesh.kusionstack.io -n demo -o wide", /REASON/),
  step("get shard shard -n demo -o yaml", /writeFence: Moved/),
  step("get shard second -n demo -o yaml --show-managed-fields", /f:onLoss/),
  step("describe shard shard -n demo", /Settle Seconds/),
  step("create -f -", /Unsupported value: "Reboot"/, {
    ...shard({ onLoss: "Reboot" }, "bad"),
    ...failing,
    differs: "a real one adds that it left out the CEL rules",
  }),
  step("create -f -", /unknown field "spec.onLos"/, { ...shard({ onLos: "Restart" }, "bad"), ...failing }),
  step("create -f -", /limits must have at least one/, {
    ...shard({ limits: [] }, "bad"),
    ...failing,
    embedded: { exitCode: 0, says: /created/, because: noCel },
  }),
  step("delete shard bad -n demo --ignore-not-found", undefined, { differs: "see above" }),
  patch(
    "patch shard shard -n demo --type=merge",
    { spec: { selector: { matchLabels: { app: "x" } } } },
    /selector cannot be changed/,
    { ...failing, embedded: { exitCode: 0, says: /patched/, because: noCel } },
  ),
  patch("patch shard shard -n demo --type=merge", { spec: { onLoss: "Relist" } }, /patched/),
  patch(
    "patch shard shard -n demo --type=strategic",
    { spec: { onLoss: "Relist" } },
    /strategic-merge-patch\+json is not supported/,
    failing,
  ),
  patch(
    "patch shard shard -n demo --type=json",
    [{ op: "replace", path: "/spec/onLoss", value: "Restart" }],
    /patched/,
  ),
  patch(
    "patch shard shard -n demo --type=merge --subresource=status",
    { status: { podsReady: "1/1" }, spec: { onLoss: "Relist" } },
    /patched/,
  ),
  step("get shard shard -n demo", /1\/1/),
  step("get shard shard -n demo -o jsonpath={.spec.onLoss}", /^Restart/),
  step("label shard shard -n demo team=a", /labeled/),
  step("annotate shard --all -n demo note=one", /annotated/),
  step("wait shard/shard -n demo --for=jsonpath={.status.podsReady}=1/1 --timeout=5s", /condition met/),
  step("wait shard/shard -n demo --for=condition=Ready --timeout=1s", /timed out/, failing),

  step("explain shardingconfig.spec.onLoss", /ENUM:/),
  step("explain shard --recursive", /relateResources/),
  step("explain configmap.data", /<map\[string\]string>/, { differs: undocumented }),
  step("explain sts.spec.serviceName", /FIELD: serviceName <string>/, { differs: undocumented }),
  step("explain pod.spec.nonsense", /does not exist/, failing),

  step("delete cm settings -n demo --dry-run=server", /server dry run/),
  step("delete cm settings -n demo", /deleted/),
  step("delete cm settings -n demo", /NotFound/, failing),
  step("delete cm settings -n demo --ignore-not-found"),
  step("delete shard --all -n demo", /"second"/),
  step("delete sts idle -n demo --cascade=orphan", /deleted/),
  step("create namespace gone", /created/),
  step("create cm inside -n gone --from-literal=a=1", /created/),
  step("delete namespace gone --timeout=60s", /deleted/),
  step("get cm -n gone", /No resources found/),
  step("create cm inside -n gone --from-literal=a=1", /namespaces "gone" not found/, failing),
];
