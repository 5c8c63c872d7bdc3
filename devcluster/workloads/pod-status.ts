import type { ContainerLife } from "./container-life.ts";
import type { Container, Pod } from "./pod-spec.ts";

/** The status of a pod as a kubelet would write it. */
export function statusOfPod(
  pod: Pod,
  podIp: string,
  containers: ReadonlyMap<string, ContainerLife>,
  message: string | undefined,
  now: Date,
): object {
  const inits = pod.spec.initContainers ?? [];
  const mains = pod.spec.containers;
  const lifeOf = (container: Container): ContainerLife | undefined => containers.get(container.name);
  const phase = phaseOf(mains.map(lifeOf), message);
  const counted = [...inits.filter((container) => container.restartPolicy === "Always"), ...mains];
  const ready = phase === "Running" && counted.every((container) => lifeOf(container)?.ready === true);
  const condition = (type: string, isTrue: boolean): object => ({
    type,
    status: isTrue ? "True" : "False",
    lastTransitionTime: `${now.toISOString().slice(0, 19)}Z`,
  });
  return {
    phase,
    message: message ?? null,
    podIP: podIp,
    podIPs: [{ ip: podIp }],
    hostIP: podIp,
    startTime: pod.metadata.creationTimestamp,
    conditions: [
      condition("PodScheduled", true),
      condition(
        "Initialized",
        mains.some((container) => lifeOf(container)?.isRunning === true),
      ),
      condition("ContainersReady", ready),
      condition("Ready", ready),
    ],
    initContainerStatuses: inits.map((container) => containerStatus(container, lifeOf(container))),
    containerStatuses: mains.map((container) => containerStatus(container, lifeOf(container))),
  };
}

function containerStatus(container: Container, life: ContainerLife | undefined): object {
  return {
    name: container.name,
    image: container.image,
    imageID: container.image,
    containerID: `process://${life?.pid ?? 0}`,
    ready: life?.ready ?? false,
    started: life?.started ?? false,
    restartCount: life?.restartCount ?? 0,
    state: life?.state ?? { waiting: { reason: "ContainerCreating" } },
    lastState: life?.lastTermination === undefined ? {} : { terminated: life.lastTermination },
  };
}

function phaseOf(mains: readonly (ContainerLife | undefined)[], message: string | undefined): string {
  if (message !== undefined) return "Pending";
  const states = mains.map((life) => life?.state);
  if (states.every((state) => state !== undefined && "terminated" in state)) {
    const failed = states.some(
      (state) => state !== undefined && "terminated" in state && state.terminated.exitCode !== 0,
    );
    return failed ? "Failed" : "Succeeded";
  }
  const begun = mains.some(
    (life) => life !== undefined && (life.isRunning || life.lastTermination !== undefined),
  );
  return begun ? "Running" : "Pending";
}
