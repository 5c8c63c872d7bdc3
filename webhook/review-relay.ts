import { containers, relayEnvironment } from "#api/names";
import { ports } from "#api/ports";
import { type InjectionRequest, refusal } from "./injection-request.ts";
import { containersOf, isTheirs } from "./our-containers.ts";
import type { Container, Pod, VolumeMount } from "./pod.ts";

/** What the proxy needs to stand before the operator's own admission webhook. */
export interface ReviewRelay {
  readonly env: NonNullable<Container["env"]>;
  readonly mounts: readonly VolumeMount[];
  readonly ports: NonNullable<Container["ports"]>;
}

const none: ReviewRelay = { env: [], mounts: [], ports: [] };

/** Ports that the proxy listens on for reviews: from the API server, and from other pods. */
export const relayPorts: readonly number[] = [ports.proxyWebhook, ports.proxyWebhookPeer];

/** Name of the proxy's port that a Service of the operator's webhook takes as its `targetPort`. */
const portName = "ctrlmesh-review";

/**
 * The relay of `spec.webhook` (`spec/ctrlmesh.md` 5.4): the proxy serves with the operator's own certificate, so it
 * gets the volume that one of the containers mounts at `certDir`, for reading.
 *
 * @throws INJECTION_REFUSED when not exactly one volume is mounted there, or the webhook's port is one of the proxy's
 */
export function reviewRelay(pod: Pod, { webhook, shard }: InjectionRequest): ReviewRelay {
  if (webhook === undefined) return none;
  const { certDir, port } = webhook;
  if (relayPorts.includes(port)) {
    throw refusal(
      `ShardingConfig ${shard}: spec.webhook.port`,
      `port ${port} is the proxy's own`,
      "let the operator's webhook listen on another port",
    );
  }
  return {
    env: [
      { name: relayEnvironment.target, value: `127.0.0.1:${port}` },
      { name: relayEnvironment.certDir, value: certDir },
    ],
    mounts: [{ ...certificateMount(pod, certDir, shard), mountPath: certDir, readOnly: true }],
    ports: [{ name: portName, containerPort: ports.proxyWebhook, protocol: "TCP" }],
  };
}

function certificateMount(pod: Pod, certDir: string, shard: string): VolumeMount {
  const mounts = containersOf(pod)
    .filter(isTheirs)
    .flatMap(({ volumeMounts }) => volumeMounts ?? [])
    .filter(({ mountPath }) => withoutSlash(mountPath) === withoutSlash(certDir));
  const sources = new Set(mounts.map(({ name, subPath = "" }) => JSON.stringify([name, subPath])));
  const [mount] = mounts;
  if (mount !== undefined && sources.size === 1) return mount;
  throw refusal(
    `ShardingConfig ${shard}: spec.webhook.certDir`,
    `${sources.size === 0 ? "no volume is" : "different volumes are"} mounted at ${certDir} in the pod's containers`,
    `mount the certificate of the webhook at ${certDir}, so that ${containers.proxy} can serve with it, or take spec.webhook away`,
  );
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}
