import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultShardLabels, labels } from "#api/names";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
  type WebhookConfigurationInput,
} from "./configuration.ts";
import { webhookPaths } from "./paths.ts";

const input: WebhookConfigurationInput = {
  target: { kind: "service", namespace: "ctrlmesh", name: "ctrlmesh-webhook-service", port: 443 },
  caBundlePem: "PEM",
  managerNamespace: "ctrlmesh",
  shardLabels: defaultShardLabels,
  kindsToLabel: undefined,
};

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
  readonly timeoutSeconds: number;
  readonly sideEffects: string;
  readonly clientConfig: {
    readonly caBundle: string;
    readonly url?: string;
    readonly service?: { readonly path: string };
  };
  readonly namespaceSelector?: unknown;
  readonly objectSelector?: unknown;
  readonly rules: readonly { readonly resources: readonly string[]; readonly scope: string }[];
}
const webhooksOf = (object: object): readonly Webhook[] => Reflect.get(object, "webhooks");
const byPath = (wanted: WebhookConfigurationInput, path: string) =>
  [mutatingWebhookConfiguration(wanted), validatingWebhookConfiguration(wanted)]
    .flatMap(webhooksOf)
    .filter(({ clientConfig }) => clientConfig.service?.path === path);

test("D42: the configurations have the names, paths and labels that the code looks up", () => {
  assert.equal(mutatingWebhookConfiguration(input).metadata?.name, "ctrlmesh-mutating");
  assert.equal(validatingWebhookConfiguration(input).metadata?.name, "ctrlmesh-validating");
  const wanted = { ...input, kindsToLabel: [{ group: "", resource: "configmaps" }] };
  const served = new Set<string>(Object.values(webhookPaths));
  const named = [mutatingWebhookConfiguration(wanted), validatingWebhookConfiguration(wanted)]
    .flatMap(webhooksOf)
    .map(({ clientConfig }) => clientConfig.service?.path ?? "");
  assert.deepEqual(new Set(named), served);
  assert.ok(JSON.stringify(mutatingWebhookConfiguration(input)).includes(labels.enableProxy));
});

test("configuration: only pods that must have a proxy meet the webhook, closed, never the manager's own", () => {
  const [ofNamespace, ofPod] = byPath(input, webhookPaths.pod);
  for (const webhook of [ofNamespace, ofPod]) {
    assert.equal(webhook?.failurePolicy, "Fail");
    assert.equal(webhook?.sideEffects, "NoneOnDryRun");
    assert.equal(webhook?.timeoutSeconds, 5);
    assert.match(
      JSON.stringify(webhook?.namespaceSelector),
      /"kubernetes.io\/metadata.name","operator":"NotIn","values":\["ctrlmesh"\]/,
    );
  }
  assert.match(
    JSON.stringify(ofNamespace?.namespaceSelector),
    /enable-proxy","operator":"In","values":\["true"\]/,
  );
  assert.match(JSON.stringify(ofPod?.objectSelector), /enable-proxy","operator":"Exists"/);
});

test("D47: labels fail open, so that a manager that is down stops nobody's writes", () => {
  const wanted = {
    ...input,
    kindsToLabel: [
      { group: "", resource: "configmaps" },
      { group: "apps", resource: "statefulsets" },
    ],
  };
  const [resource] = byPath(wanted, webhookPaths.resource);
  assert.equal(resource?.failurePolicy, "Ignore");
  assert.deepEqual(
    resource?.rules.map(({ resources }) => resources),
    [
      ["configmaps", "configmaps/status"],
      ["statefulsets", "statefulsets/status"],
    ],
  );
  assert.equal(byPath(wanted, webhookPaths.namespace)[0]?.failurePolicy, "Ignore");
});

test("configuration: with MutatingAdmissionPolicy there is no resource webhook", () => {
  assert.deepEqual(byPath(input, webhookPaths.resource), []);
  assert.deepEqual(byPath({ ...input, kindsToLabel: [] }, webhookPaths.resource), []);
});

test("D26: breakers and faults are validated as well as shards", () => {
  for (const path of [
    webhookPaths.shardingConfig,
    webhookPaths.circuitBreaker,
    webhookPaths.faultInjection,
  ]) {
    assert.equal(byPath(input, path)[0]?.failurePolicy, "Fail", path);
  }
});

test("D66: the API server calls a service or a host, and nothing opens a port on nodes", () => {
  const url = (host: string) =>
    webhooksOf(mutatingWebhookConfiguration({ ...input, target: { kind: "url", host, port: 9443 } })).map(
      ({ clientConfig }) => clientConfig.url,
    )[0];
  assert.equal(url("127.0.0.1"), "https://127.0.0.1:9443/mutate-pod");
  assert.equal(url("::1"), "https://[::1]:9443/mutate-pod");
  const [webhook] = webhooksOf(validatingWebhookConfiguration(input));
  assert.deepEqual(webhook?.clientConfig, {
    caBundle: "UEVN",
    service: {
      namespace: "ctrlmesh",
      name: "ctrlmesh-webhook-service",
      port: 443,
      path: "/validate-ctrlmesh-shardingconfig",
    },
  });
});
