import { randomInt } from "node:crypto";
import { join } from "node:path";
import type { KubernetesObject } from "#api/meta";
import type { PodLogRequest, PodLogs } from "../pod-logs.ts";
import type { ApiEvent } from "./api.ts";
import { follow } from "./follow.ts";
import { readLogFile } from "./log-file.ts";
import { PodLife, type PodLifeDependencies } from "./pod-life.ts";
import type { Pod } from "./pod-spec.ts";

export interface PodRunnerDependencies extends PodLifeDependencies {
  /** Folder for the pods' volumes and logs. */
  readonly folder: string;
  readonly nodeName: string;
}

/**
 * The node of the embedded cluster: starts the containers of every pod as child processes, each pod with an
 * address of its own in 127/8, and ends them when the pod is deleted.
 */
export class PodRunner implements PodLogs, AsyncDisposable {
  readonly #deps: PodRunnerDependencies;
  readonly #lives = new Map<string, { life: PodLife; done: Promise<void>; stopping: boolean }>();
  readonly #end = new AbortController();
  readonly #subnet = `127.${randomInt(16, 255)}.${randomInt(0, 256)}`;
  #nextHost = 1;
  readonly #following: Promise<void>;

  constructor(deps: PodRunnerDependencies) {
    this.#deps = deps;
    this.#following = follow(
      "/api/v1/pods",
      {
        onList: (objects) => this.#onList(objects),
        onEvent: (type, object) => this.#onEvent({ type, object }),
      },
      { api: deps.api, clock: deps.clock, log: deps.log, signal: this.#end.signal },
    );
  }

  /** Sends a signal to the process of one container; false when none runs. */
  kill(namespace: string, pod: string, container: string, signal: NodeJS.Signals): boolean {
    const life = this.#find(namespace, pod)?.containers.get(container);
    if (life === undefined || !life.isRunning) return false;
    life.kill(signal);
    return true;
  }

  read(request: PodLogRequest, signal: AbortSignal): AsyncIterable<Uint8Array> | undefined {
    const life = this.#find(request.namespace, request.pod);
    const container = life?.containers.get(request.container);
    if (life === undefined || container === undefined) return undefined;
    const run = container.restartCount - (request.previous ? 1 : 0);
    if (run < 0) return undefined;
    const ended = (): boolean => container.restartCount !== run || !container.isRunning;
    const path = life.logFile(request.container, run);
    return readLogFile(path, request, { clock: this.#deps.clock, ended }, signal);
  }

  /** Ends every pod at once (SIGTERM, then SIGKILL after 2 s) and forgets them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#following;
    await Promise.all(
      [...this.#lives.values()].map(async ({ life, done }) => {
        await life.stop(2);
        await done;
        life.remove();
      }),
    );
  }

  #find(namespace: string, name: string): PodLife | undefined {
    for (const { life } of this.#lives.values()) {
      if (life.pod.metadata.namespace === namespace && life.pod.metadata.name === name) return life;
    }
    return undefined;
  }

  #onList(objects: readonly KubernetesObject[]): void {
    const present = new Set(objects.map((object) => object.metadata?.uid));
    for (const [uid, { life }] of this.#lives) if (!present.has(uid)) this.#gone(life.pod);
    for (const object of objects) this.#onEvent({ type: "ADDED", object: { ...object } });
  }

  #onEvent({ type, object }: ApiEvent): void {
    // The API server's own objects: its schema has been applied before they were stored.
    const pod = object as unknown as Pod;
    if (type === "DELETED") this.#gone(pod);
    else if (pod.metadata.deletionTimestamp !== undefined) void this.#terminate(pod);
    else if (!this.#lives.has(pod.metadata.uid)) this.#start(pod);
  }

  #start(pod: Pod): void {
    const podIp = `${this.#subnet}.${this.#nextHost++}`;
    const life = new PodLife(pod, podIp, join(this.#deps.folder, pod.metadata.uid), this.#deps);
    const done = this.#bind(pod)
      .then(() => life.run())
      .catch((error: unknown) =>
        this.#deps.log.error("pod ended by an error", { pod: pod.metadata.name, error }),
      );
    this.#lives.set(pod.metadata.uid, { life, done, stopping: false });
  }

  async #bind(pod: Pod): Promise<void> {
    if (pod.spec.nodeName !== undefined) return;
    const { namespace, name } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    await this.#deps.api.expect("PATCH", path, { spec: { nodeName: this.#deps.nodeName } }, [404, 409, 422]);
  }

  /** Stops a pod that is being deleted, then lets the API server forget it. */
  async #terminate(pod: Pod): Promise<void> {
    const entry = this.#lives.get(pod.metadata.uid);
    if (entry?.stopping === true) return;
    if (entry !== undefined) {
      entry.stopping = true;
      await entry.life.stop(pod.metadata.deletionGracePeriodSeconds);
      await entry.done;
    }
    const { namespace, name, uid } = pod.metadata;
    await this.#deps.api
      .expect(
        "DELETE",
        `/api/v1/namespaces/${namespace}/pods/${name}`,
        { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0, preconditions: { uid } },
        [404, 409],
      )
      .catch((error: unknown) => this.#deps.log.debug("pod not removed yet", { pod: name, error }));
  }

  /** The object is gone: whatever still runs is ended without grace. */
  #gone(pod: Pod): void {
    const entry = this.#lives.get(pod.metadata.uid);
    if (entry === undefined) return;
    this.#lives.delete(pod.metadata.uid);
    void entry.life
      .stop(0)
      .then(() => entry.done)
      .then(() => entry.life.remove());
  }
}
