import type { KubernetesObject } from "#api/meta";
import { group, labels, type ShardLabels, wellKnown } from "#api/names";
import { webhookPaths, webhookTimeoutSeconds } from "./paths.ts";

/** How the API server reaches the webhooks. */
export type WebhookTarget =
  | { readonly kind: "service"; readonly namespace: string; readonly name: string; readonly port: number }
  | { readonly kind: "url"; readonly host: string; readonly port: number };

export interface KindToLabel {
  /** "" is the core group. */
  readonly group: string;
  readonly resource: string;
}

export interface WebhookConfigurationInput {
  readonly target: WebhookTarget;
  /** PEM of the authorities that may have signed the serving certificate. */
  readonly caBundlePem: string;
  readonly managerNamespace: string;
  readonly shardLabels: ShardLabels;
  /** Kinds that the resource webhook labels; undefined where the API server has MutatingAdmissionPolicy. */
  readonly kindsToLabel: readonly KindToLabel[] | undefined;
}

interface Webhook {
  readonly name: string;
  readonly path: string;
  readonly failurePolicy: "Fail" | "Ignore";
  readonly sideEffects: "None" | "NoneOnDryRun";
  readonly rules: readonly unknown[];
  readonly namespaceSelector?: unknown;
  readonly objectSelector?: unknown;
  readonly reinvocationPolicy?: "IfNeeded" | "Never";
}

const apiVersion = "admissionregistration.k8s.io/v1";
const namespaceNameLabel = "kubernetes.io/metadata.name";

/**
 * The MutatingWebhookConfiguration. Pods fail closed, and only those meet the webhook that must have a proxy:
 * of opted-in namespaces, or labelled themselves; never the manager's own, which would wait for itself.
 * Labels fail open: healing mends what is missed, a manager that is down must stop nobody's writes.
 */
export function mutatingWebhookConfiguration(input: WebhookConfigurationInput): KubernetesObject {
  const notOurs = requirement(namespaceNameLabel, "NotIn", [input.managerNamespace]);
  const pods = [rule(["CREATE"], { group: "", resource: "pods" }, "Namespaced")];
  const podWebhook = {
    path: webhookPaths.pod,
    failurePolicy: "Fail",
    sideEffects: "NoneOnDryRun",
    rules: pods,
    reinvocationPolicy: "IfNeeded",
  } as const;
  return {
    apiVersion,
    kind: "MutatingWebhookConfiguration",
    metadata: { name: wellKnown.mutatingWebhook },
    webhooks: [
      {
        ...podWebhook,
        name: `pod-of-namespace.${group}`,
        namespaceSelector: expressions(requirement(labels.enableProxy, "In", ["true"]), notOurs),
        objectSelector: expressions(requirement(labels.enableProxy, "NotIn", ["false"])),
      },
      {
        ...podWebhook,
        name: `pod.${group}`,
        namespaceSelector: expressions(requirement(labels.enableProxy, "NotIn", ["true"]), notOurs),
        objectSelector: expressions(
          requirement(labels.enableProxy, "Exists"),
          requirement(labels.enableProxy, "NotIn", ["false"]),
        ),
      },
      {
        name: `namespace.${group}`,
        path: webhookPaths.namespace,
        failurePolicy: "Ignore",
        sideEffects: "None",
        rules: [rule(["CREATE", "UPDATE"], { group: "", resource: "namespaces" }, "Cluster")],
        objectSelector: expressions(requirement(labels.ignoreWebhook, "DoesNotExist")),
      } as const,
      ...resourceWebhook(input),
    ].map((webhook) => manifest(webhook, input)),
  };
}

/** The ValidatingWebhookConfiguration: our own kinds, closed, so that no rule is stored that none can apply. */
export function validatingWebhookConfiguration(input: WebhookConfigurationInput): KubernetesObject {
  const kinds = [
    { resource: "shardingconfigs", path: webhookPaths.shardingConfig },
    { resource: "circuitbreakers", path: webhookPaths.circuitBreaker },
    { resource: "faultinjections", path: webhookPaths.faultInjection },
  ];
  return {
    apiVersion,
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: wellKnown.validatingWebhook },
    webhooks: kinds.map(({ resource, path }) =>
      manifest(
        {
          name: `${resource}.${group}`,
          path,
          failurePolicy: "Fail",
          sideEffects: "None",
          rules: [rule(["CREATE", "UPDATE"], { group, resource }, "Namespaced")],
        },
        input,
      ),
    ),
  };
}

/** One entry for namespaced kinds; the scope `*` lets cluster-scoped ones in, which no namespaceSelector holds back. */
function resourceWebhook({ kindsToLabel = [], shardLabels }: WebhookConfigurationInput): Webhook[] {
  if (kindsToLabel.length === 0) return [];
  return [
    {
      name: `resource.${group}`,
      path: webhookPaths.resource,
      failurePolicy: "Ignore",
      sideEffects: "None",
      rules: kindsToLabel.map((kind) => rule(["CREATE", "UPDATE"], kind, "*", [`${kind.resource}/status`])),
      namespaceSelector: expressions(requirement(shardLabels.control, "In", ["true"])),
      objectSelector: expressions(requirement(labels.ignoreWebhook, "DoesNotExist")),
      reinvocationPolicy: "IfNeeded",
    },
  ];
}

function manifest(
  { path, ...webhook }: Webhook,
  { target, caBundlePem }: WebhookConfigurationInput,
): unknown {
  return {
    ...webhook,
    clientConfig: {
      caBundle: Buffer.from(caBundlePem).toString("base64"),
      ...(target.kind === "service"
        ? { service: { namespace: target.namespace, name: target.name, port: target.port, path } }
        : {
            url: `https://${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}${path}`,
          }),
    },
    admissionReviewVersions: ["v1"],
    matchPolicy: "Equivalent",
    timeoutSeconds: webhookTimeoutSeconds,
  };
}

function rule(
  operations: readonly string[],
  kind: KindToLabel,
  scope: "Namespaced" | "Cluster" | "*",
  subresources: readonly string[] = [],
): unknown {
  return {
    apiGroups: [kind.group],
    apiVersions: ["*"],
    operations,
    resources: [kind.resource, ...subresources],
    scope,
  };
}

function requirement(key: string, operator: string, values?: readonly string[]): unknown {
  return values === undefined ? { key, operator } : { key, operator, values };
}

function expressions(...matchExpressions: readonly unknown[]): unknown {
  return { matchExpressions };
}
