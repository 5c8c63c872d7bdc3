import { fileURLToPath } from "node:url";
import { goProgram } from "../go.ts";
import { programImage } from "./images.ts";

/** What the tests of whole clusters run in pods. */
export const probeImage = "localhost/probe:1";
export const probeNamespace = "demo";

/** Path of the archive of `probeImage`; built when its source has changed. */
export function probeArchive(): string {
  const program = goProgram("probe", fileURLToPath(new URL("probe", import.meta.url)));
  return programImage({ program, reference: probeImage, user: "1000:1000" });
}

/** A namespace that admits pods of Pod Security `restricted` only. */
const namespace = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: probeNamespace, labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
};

/** Everything that `restricted` asks for. */
const restrictedPod = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
};
const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

function container(args: readonly string[]) {
  return { name: "probe", image: probeImage, imagePullPolicy: "Never", args };
}

/** A Deployment `echo` of one pod with a dual-stack Service, in a namespace of its own. */
export function echoManifests(): string {
  const labels = { app: "echo" };
  const names = [`echo.${probeNamespace}.svc`, "echo"];
  const items = [
    namespace,
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "echo", namespace: probeNamespace },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            ...restrictedPod,
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                ...container(["serve", ...names]),
                securityContext: restrictedContainer,
                readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "echo", namespace: probeNamespace },
      spec: {
        selector: labels,
        ipFamilyPolicy: "RequireDualStack",
        ports: [
          { name: "http", port: 80, targetPort: 8080 },
          { name: "https", port: 443, targetPort: 8443 },
        ],
      },
    },
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** A pod that asks for nothing special, which `restricted` refuses. */
export function unrestrictedPod(): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "unrestricted", namespace: probeNamespace },
    spec: { containers: [container(["serve", "x"])] },
  });
}

/** A webhook for ConfigMaps that are labelled for it, served by `echo` behind its Service. */
export function webhookConfiguration(caPem: string): string {
  return JSON.stringify({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "echo" },
    webhooks: [
      {
        name: `echo.${probeNamespace}.svc`,
        clientConfig: {
          service: { namespace: probeNamespace, name: "echo", port: 443 },
          caBundle: Buffer.from(caPem).toString("base64"),
        },
        objectSelector: { matchLabels: { reviewed: "true" } },
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
        failurePolicy: "Fail",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  });
}

export function reviewedConfigMap(name: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: probeNamespace, labels: { reviewed: "true" } },
  });
}
