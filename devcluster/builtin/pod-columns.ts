import { arrayOf, at, numberOf, objectOf, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { age } from "../table.ts";

/** What `kubectl get pods` shows of a pod, by the rules of kubectl's own printer (`printPod`). */
export function podCells(
  { metadata, spec, status }: KubeObject,
  nowMs: number,
): { readonly ready: string; readonly status: string; readonly restarts: string } {
  const statuses = arrayOf(at(status, "containerStatuses"));
  const sidecars = arrayOf(at(spec, "initContainers")).filter(
    (each) => at(each, "restartPolicy") === "Always",
  );
  const sidecarNames = new Set(sidecars.map((each) => stringOf(at(each, "name"))));
  const initStatuses = arrayOf(at(status, "initContainerStatuses"));
  const sidecarStatuses = initStatuses.filter((each) => sidecarNames.has(stringOf(at(each, "name"))));
  const running = [...statuses, ...sidecarStatuses];
  const total = arrayOf(at(spec, "containers")).length + sidecars.length;
  const ready = running.filter((each) => at(each, "ready") === true).length;
  const restarts = running.reduce<number>((sum, each) => sum + numberOf(at(each, "restartCount")), 0);
  const lastRestart = running
    .map((each) => stringOf(at(each, "lastState", "terminated", "finishedAt")))
    .sort()
    .at(-1);
  const when = restarts > 0 && lastRestart ? ` (${age(lastRestart, nowMs)} ago)` : "";
  const phase = stringOf(at(status, "reason")) || stringOf(at(status, "phase"));
  const reason = initReason(initStatuses, sidecarNames) ?? containerReason(statuses, phase);
  return {
    ready: `${ready}/${total}`,
    status: metadata.deletionTimestamp === undefined ? reason : "Terminating",
    restarts: `${restarts}${when}`,
  };
}

/** Why the init containers hold the pod up; undefined when they do not. */
function initReason(statuses: readonly unknown[], sidecars: ReadonlySet<string>): string | undefined {
  for (const [index, each] of statuses.entries()) {
    const state = objectOf(at(each, "state"));
    if (at(state, "terminated", "exitCode") === 0) continue;
    if (sidecars.has(stringOf(at(each, "name"))) && at(each, "started") === true) continue;
    if (state.terminated !== undefined)
      return `Init:${stringOf(at(state, "terminated", "reason")) || `ExitCode:${numberOf(at(state, "terminated", "exitCode"))}`}`;
    const waiting = stringOf(at(state, "waiting", "reason"));
    if (waiting !== "" && waiting !== "PodInitializing") return `Init:${waiting}`;
    return `Init:${index}/${statuses.length}`;
  }
  return undefined;
}

function containerReason(statuses: readonly unknown[], phase: string): string {
  let reason = phase;
  let hasRunning = false;
  for (const each of statuses.toReversed()) {
    const state = objectOf(at(each, "state"));
    const waiting = stringOf(at(state, "waiting", "reason"));
    const terminated = stringOf(at(state, "terminated", "reason"));
    if (waiting !== "") reason = waiting;
    else if (terminated !== "") reason = terminated;
    else if (state.terminated !== undefined)
      reason = `ExitCode:${numberOf(at(state, "terminated", "exitCode"))}`;
    else if (at(each, "ready") === true && state.running !== undefined) hasRunning = true;
  }
  return reason === "Completed" && hasRunning ? "Running" : reason;
}
