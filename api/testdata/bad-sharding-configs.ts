import type { BadResource } from "./bad-resource.ts";

const config = (spec: string, name = "bad"): string => `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: ShardingConfig
metadata: {name: ${name}, namespace: default}
spec: ${spec}`;

const selector = "selector: {matchLabels: {app: op}}";
const limits = "limits: [{relateResources: [{apiGroups: [''], resources: [pods]}]}]";
const shard = (fields: string): string => config(`{${selector}, ${limits}, ${fields}}`);
const root = (fields: string): string =>
  config(`{root: {prefix: op, targetStatefulSet: op, resourceSelector: [{}], ${fields}}}`);

export const badShardingConfigs: readonly BadResource[] = [
  {
    title: "a shard without selector",
    yaml: config(`{${limits}}`),
    where: "spec.selector",
    message: "selector must choose pods",
  },
  {
    title: "a selector whose members have no value",
    yaml: config(`{selector: {matchLabels: , matchExpressions: }, ${limits}}`),
    where: "spec.selector",
    message: "selector must choose pods",
  },
  {
    title: "D13: a shard with an empty list of limits, whose proxy would have no rules,",
    yaml: config(`{${selector}, limits: []}`),
    where: "spec.limits",
    message: "limits must have at least one entry",
  },
  {
    title: "D13: a shard without limits",
    yaml: config(`{${selector}}`),
    where: "spec.limits",
    message: "limits must have at least one entry",
  },
  {
    title: "an unknown operator in a limit",
    yaml: config(
      `{${selector}, limits: [{selector: {matchExpressions: [{key: a, operator: In, values: [b]}, {key: a, operator: Near, values: [b]}]}}]}`,
    ),
    where: "spec.limits[0].selector.matchExpressions[1].operator",
    message: "In, NotIn, Exists or DoesNotExist",
  },
  {
    title: "an In without values",
    yaml: config(`{selector: {matchExpressions: [{key: a, operator: In}]}, ${limits}}`),
    where: "spec.selector.matchExpressions[0].values",
    message: "In and NotIn need at least one value",
  },
  {
    title: "an Exists with values",
    yaml: config(`{selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}, ${limits}}`),
    where: "spec.selector.matchExpressions[0].values",
    message: "Exists and DoesNotExist take none",
  },
  {
    title: "a number as label value",
    yaml: config(`{selector: {matchLabels: {app: 7}}, ${limits}}`),
    where: "spec.selector.matchLabels[app]",
    message: "expected a string, found 7",
  },
  {
    title: "a text that is no label key",
    yaml: config(`{selector: {matchExpressions: [{key: -a, operator: Exists}]}, ${limits}}`),
    where: "spec.selector.matchExpressions[0].key",
    message: "a label key is",
  },
  {
    title: "a resource in upper case, which would match nothing and leave Pods unfiltered,",
    yaml: config(`{${selector}, limits: [{relateResources: [{apiGroups: ['*'], resources: [Pods]}]}]}`),
    where: "spec.limits[0].relateResources[0].resources[0]",
    message: "use the plural name in lower case",
  },
  {
    title: "limits that are no list",
    yaml: config(`{${selector}, limits: {relateResources: []}}`),
    where: "spec.limits",
    message: "expected a list, found an object",
  },
  {
    title: "a controller without the lock's name",
    yaml: shard("controller: {}"),
    where: "spec.controller.leaderElectionName",
    message: "is required",
  },
  {
    title: "an empty name of the lock",
    yaml: shard("controller: {leaderElectionName: ''}"),
    where: "spec.controller.leaderElectionName",
    message: "must not be empty",
  },
  {
    title: "a webhook port outside 1 to 65535",
    yaml: shard("webhook: {certDir: /certs, port: 0}"),
    where: "spec.webhook.port",
    message: "use 1 to 65535",
  },
  {
    title: "an unknown word in onLoss",
    yaml: shard("onLoss: Reboot"),
    where: "spec.onLoss",
    message: "use Restart or Relist",
  },
  {
    title: "a settle time over an hour",
    yaml: shard("handover: {settleSeconds: 3601}"),
    where: "spec.handover.settleSeconds",
    message: "use 0 to 3600",
  },
  {
    title: "D6: more shards than buckets, of which some would own nothing,",
    yaml: root("auto: {shardingSize: 33, everyShardReplicas: 1}"),
    where: "spec.root.auto.shardingSize",
    message: "use 1 to 32",
  },
  {
    title: "D6: no shards at all",
    yaml: root("auto: {shardingSize: 0, everyShardReplicas: 1}"),
    where: "spec.root.auto.shardingSize",
    message: "use 1 to 32",
  },
  {
    title: "a negative number of pods",
    yaml: root("auto: {shardingSize: 2, everyShardReplicas: -1}"),
    where: "spec.root.auto.everyShardReplicas",
    message: "use 1 to 10000",
  },
  {
    title: "a canary without criterion",
    yaml: root("canary: {replicas: 1}"),
    where: "spec.root.canary",
    message: "canary needs inNamespaces or inShardHash",
  },
  {
    title: "a canary without replicas",
    yaml: root("canary: {inNamespaces: [ns1]}"),
    where: "spec.root.canary.replicas",
    message: "is required",
  },
  {
    title: "a bucket that does not exist",
    yaml: root("canary: {replicas: 1, inShardHash: ['32']}"),
    where: "spec.root.canary.inShardHash[0]",
    message: '"0" to "31"',
  },
  {
    title: "a bucket without quotes",
    yaml: root("canary: {replicas: 1, inShardHash: [3]}"),
    where: "spec.root.canary.inShardHash[0]",
    message: "expected a string, found 3",
  },
  {
    title: "D69: a root without resources, whose children would be refused one by one,",
    yaml: config(
      "{root: {prefix: op, targetStatefulSet: op, auto: {shardingSize: 2, everyShardReplicas: 1}}}",
    ),
    where: "spec.root.resourceSelector",
    message: "resourceSelector must name the resources to shard",
  },
  {
    title: "a prefix that makes the children's names too long for a label",
    yaml: config(`{root: {prefix: ${"p".repeat(54)}, targetStatefulSet: op}}`),
    where: "spec.root.prefix",
    message: "longer than 53 characters",
  },
  {
    title: "a name that is too long for a label",
    yaml: config(`{${selector}, ${limits}}`, "n".repeat(64)),
    where: "metadata",
    message: "use at most 63 characters",
  },
  { title: "a spec that is missing", yaml: config("null"), where: "spec", message: "is required" },
];
