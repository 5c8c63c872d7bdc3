import { toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { group, labels, wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { ResourceKind } from "#kube/client/client";
import { certificatesOf } from "#manager/ca";
import { supportsMutatingPolicies } from "#manager/sharding/admission-policy";
import { mutatingWebhookConfiguration, validatingWebhookConfiguration } from "#webhook/configuration";
import { kinds } from "../kinds.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding, FindingCode } from "./finding.ts";
import { limitedKinds } from "./manager-rights.ts";
import { readMeshCa } from "./mesh-ca.ts";
import { memberOf, readIfThere, recordsOf, textOf } from "./read.ts";

const admission = (resource: string): ResourceKind => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource,
  namespaced: false,
});
const mutatingKind = admission("mutatingwebhookconfigurations");
const validatingKind = admission("validatingwebhookconfigurations");

/** Webhooks: configured, with the CA of the mesh, and answering when the API server calls them. */
export const webhooksCheck: Check = {
  name: "webhooks",
  phases: ["after"],
  run: async (context) => {
    const { client, signal } = context;
    const authorities = await readMeshCa(context);
    const configured = await Promise.all(
      (await wantedConfigurations(context)).map(async ([kind, wanted]) => {
        const name = { name: wanted.metadata?.name ?? "" };
        const present = await readIfThere(client, kind, name, { signal });
        return judgeConfiguration(wanted, present, authorities);
      }),
    );
    const findings = configured.flat();
    const isCalled = !findings.some(({ code }) => code === "WebhookMissing");
    const answer = isCalled ? await probe(context) : [];
    // The wrong CA was found already; that the call fails by it says nothing more.
    const isExplained = (finding: Finding): boolean => findings.some(({ code }) => code === finding.code);
    const all = [...findings, ...answer.filter((finding) => !isExplained(finding))];
    return {
      summary: all.length === 0 ? "configured, and they answer" : "see below",
      findings: all,
    };
  },
};

async function wantedConfigurations(
  context: CheckContext,
): Promise<(readonly [ResourceKind, KubernetesObject])[]> {
  const { client, settings, signal } = context;
  const stamps = !(await supportsMutatingPolicies(client, { signal }));
  const input = {
    target: { kind: "service", namespace: settings.namespace, name: wellKnown.webhookService, port: 443 },
    caBundlePem: "",
    managerNamespace: settings.namespace,
    shardLabels: settings.shardLabels,
    kindsToLabel: stamps ? limitedKinds(context) : undefined,
  } as const;
  return [
    [mutatingKind, mutatingWebhookConfiguration(input)],
    [validatingKind, validatingWebhookConfiguration(input)],
  ];
}

function judgeConfiguration(
  wanted: KubernetesObject,
  present: KubernetesObject | undefined,
  authorities: readonly string[],
): Finding[] {
  const where = `${wanted.kind} ${wanted.metadata?.name}`;
  const remedy = "the manager writes it within a minute: see that one leads";
  if (present === undefined) {
    const what = "it is not there: pods are not injected and our kinds are not validated";
    return [{ level: "error", code: "WebhookMissing", where, what, remedy }];
  }
  const entries = recordsOf(present.webhooks);
  const names = new Set(entries.map(({ name }) => name));
  const absent = recordsOf(wanted.webhooks).flatMap(({ name }) => (names.has(name) ? [] : [String(name)]));
  const wrong = entries.filter((entry) => !trusts(entry, authorities)).map(({ name }) => String(name));
  return [
    ...(absent.length === 0
      ? []
      : [
          {
            level: "error",
            code: "WebhookMissing",
            where,
            what: `it lacks ${absent.join(", ")}`,
            remedy,
          } as const,
        ]),
    ...(wrong.length === 0 || authorities.length === 0
      ? []
      : [
          {
            level: "error",
            code: "WebhookCaWrong",
            where,
            what: `its CA bundle is not the mesh CA for ${wrong.join(", ")}: the API server refuses the manager's certificate`,
            remedy,
          } as const,
        ]),
  ];
}

function trusts(entry: Record<string, unknown>, authorities: readonly string[]): boolean {
  const encoded = textOf(memberOf(entry, "clientConfig", "caBundle")) ?? "";
  const bundle = new Set(certificatesOf(Buffer.from(encoded, "base64").toString("utf8")).map(body));
  return authorities.every((pem) => bundle.has(body(pem)));
}

function body(pem: string): string {
  return pem.replaceAll(/\s/g, "");
}

/**
 * Lets the API server call the manager: a ShardingConfig that is created only as a dry run has to pass the
 * validating webhook, which fails closed.
 */
async function probe({ client, settings, signal }: CheckContext): Promise<Finding[]> {
  const object: KubernetesObject = {
    apiVersion: `${group}/v1alpha1`,
    kind: "ShardingConfig",
    metadata: { name: "ctrlmesh-check", namespace: settings.namespace },
    spec: {
      selector: { matchLabels: { [labels.podName]: "ctrlmesh-check-0" } },
      limits: [
        {
          relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
          selector: { matchLabels: { [settings.shardLabels.namespace]: "ctrlmesh-check" } },
        },
      ],
    },
  };
  try {
    await client.create(kinds.shardingConfigs, object, { signal, dryRun: true });
    return [];
  } catch (thrown) {
    signal.throwIfAborted();
    const error = toCtrlmeshError(thrown);
    if (isApiError(error, "API_FORBIDDEN")) throw error;
    // Without our kinds there is nothing to create: the check of the CRDs says so.
    if (isApiError(error, "API_NOT_FOUND")) return [];
    return [judgeFailure(error.message, settings.namespace)];
  }
}

/** What the API server said when it called a webhook in vain. */
export function judgeFailure(message: string, namespace: string): Finding {
  const reason = /failed (?:to call|calling) webhook(?: "[^"]*")?: (.*)$/.exec(message)?.[1] ?? message;
  const code = codeOf(message);
  return {
    level: "error",
    code,
    where: `ValidatingWebhookConfiguration ${wellKnown.validatingWebhook}`,
    what: `the API server called it in vain: ${reason}`,
    remedy:
      code === "WebhookDown"
        ? `kubectl -n ${namespace} get pods,endpointslices; the API server must reach port 443 of Service ${wellKnown.webhookService}`
        : "the manager writes CA and certificate within a minute: see that one leads",
  };
}

function codeOf(message: string): FindingCode {
  if (/certificate has expired|is not yet valid/.test(message)) return "CertificateExpired";
  return /x509:|certificate/.test(message) ? "WebhookCaWrong" : "WebhookDown";
}
