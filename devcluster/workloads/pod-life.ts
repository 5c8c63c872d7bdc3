import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { WorkloadApi } from "./api.ts";
import { type ContainerCommand, ContainerLife } from "./container-life.ts";
import { environmentOf, expand, type KeyReader, withPodLoopback } from "./environment.ts";
import type { Container, Pod } from "./pod-spec.ts";
import { statusOfPod } from "./pod-status.ts";
import { execCommand, type ProbeTarget, watchProbe } from "./probes.ts";
import { PodVolumes } from "./volumes.ts";

/** Image name to the argv that its entrypoint stands for. */
export type ImageTable = Readonly<Record<string, readonly string[]>>;

export interface PodLifeDependencies {
  readonly api: WorkloadApi;
  readonly images: ImageTable;
  /** Environment that the kubelet sets in every container (API server's address and so on). */
  readonly baseEnvironment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest pause before a restart of a container that keeps ending early. Default 5 s. */
  readonly maxRestartDelayMs?: number | undefined;
}

const preload = pathToFileURL(fileURLToPath(new URL("mounts-preload.ts", import.meta.url))).href;
const refreshMs = 1_000;
const defaultGraceSeconds = 30;
/** An API server that does not answer any more must not keep a pod for ever. */
const lastWritesLimit = 10;

/** One pod from its first volume to its last exit. */
export class PodLife {
  readonly pod: Pod;
  readonly podIp: string;
  readonly containers = new Map<string, ContainerLife>();
  readonly #deps: PodLifeDependencies;
  readonly #folder: string;
  readonly #volumes: PodVolumes;
  readonly #stop = new AbortController();
  #message: string | undefined;
  #statusDirty = false;
  #statusWriter: Promise<void> | undefined;

  constructor(pod: Pod, podIp: string, folder: string, deps: PodLifeDependencies) {
    this.pod = pod;
    this.podIp = podIp;
    this.#folder = folder;
    this.#deps = deps;
    this.#volumes = new PodVolumes(pod, podIp, join(folder, "volumes"), deps.api);
    for (const container of this.#initContainers())
      this.#add(container, container.restartPolicy ?? "OnFailure");
    for (const container of pod.spec.containers) this.#add(container, pod.spec.restartPolicy ?? "Always");
  }

  /** Output of one run of a container; runs count from 0. */
  logFile(container: string, run: number): string {
    return join(this.#folder, "logs", `${container}.${run}.log`);
  }

  /** Starts everything in the kubelet's order; resolves when no container will run any more. */
  async run(): Promise<void> {
    mkdirSync(join(this.#folder, "logs"), { recursive: true });
    this.#changed();
    await this.#mountVolumes();
    const refreshing = this.#keepVolumesFresh();
    const sidecars: Promise<unknown>[] = [];
    for (const container of this.#initContainers()) {
      if (this.#stop.signal.aborted) break;
      if (container.restartPolicy === "Always") {
        sidecars.push(this.#startContainer(container));
        await this.#untilStarted(this.#life(container));
      } else await this.#life(container).run();
    }
    const mains: Promise<unknown>[] = [];
    for (const container of this.pod.spec.containers) {
      if (this.#stop.signal.aborted) break;
      mains.push(this.#startContainer(container));
      await this.#postStart(container);
    }
    await Promise.all(mains);
    await this.#stopSidecars(defaultGraceSeconds * 1000);
    await Promise.all(sidecars);
    this.#stop.abort();
    await refreshing;
    await this.#lastStatusWritten();
  }

  /** SIGTERM to the main containers, then to the sidecars in reverse order; SIGKILL after the grace period. */
  async stop(
    graceSeconds = this.pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds,
  ): Promise<void> {
    this.#stop.abort();
    const graceMs = graceSeconds * 1000;
    await Promise.all(this.pod.spec.containers.map((container) => this.#life(container).stop(graceMs)));
    await this.#stopSidecars(graceMs);
  }

  /** Removes the pod's folder (volumes, logs). */
  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #initContainers(): readonly Container[] {
    return this.pod.spec.initContainers ?? [];
  }

  #life(container: Container): ContainerLife {
    const life = this.containers.get(container.name);
    if (life === undefined) throw new Error(`container ${container.name} is not of this pod`);
    return life;
  }

  #add(container: Container, restartPolicy: "Always" | "OnFailure" | "Never"): void {
    const life = new ContainerLife({
      name: container.name,
      command: () => this.#command(container),
      restartPolicy,
      clock: this.#deps.clock,
      changed: () => this.#changed(),
      maxRestartDelayMs: this.#deps.maxRestartDelayMs,
    });
    this.containers.set(container.name, life);
  }

  async #mountVolumes(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#volumes.refresh(this.#deps.clock.now() / 1000);
        this.#message = undefined;
        return;
      } catch (error) {
        this.#message = error instanceof Error ? error.message : String(error);
        this.#changed();
        await this.#deps.clock.sleep(refreshMs, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #keepVolumesFresh(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#deps.clock.sleep(refreshMs, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      // As with a kubelet, a source that is away leaves the last content in place.
      await this.#volumes.refresh(this.#deps.clock.now() / 1000).catch((error: unknown) => {
        this.#deps.log.debug("volume refresh failed", { pod: this.pod.metadata.name, error });
      });
    }
  }

  /** Resolves with the container's whole run, over all restarts. */
  #startContainer(container: Container): Promise<unknown> {
    const life = this.#life(container);
    void this.#probe(container, life);
    return life.run();
  }

  /** What comes after a native sidecar waits for its startup probe. */
  async #untilStarted(life: ContainerLife): Promise<void> {
    while (!life.started && !this.#stop.signal.aborted) {
      await this.#deps.clock.sleep(20, this.#stop.signal).catch(() => undefined);
    }
  }

  async #stopSidecars(graceMs: number): Promise<void> {
    for (const container of this.#initContainers().toReversed()) await this.#life(container).stop(graceMs);
  }

  /** Runs the probes of one container across its restarts. */
  async #probe(container: Container, life: ContainerLife): Promise<void> {
    const stopping = AbortSignal.any([life.stopping, this.#stop.signal]);
    while (!stopping.aborted) {
      await this.#untilRunning(life, stopping);
      const pid = life.pid;
      const thisRun = new AbortController();
      const signal = AbortSignal.any([stopping, thisRun.signal]);
      const rounds = this.#probeOneRun(container, life, signal);
      while (!stopping.aborted && life.pid === pid) {
        await this.#deps.clock.sleep(50, stopping).catch(() => undefined);
      }
      thisRun.abort();
      await rounds;
    }
  }

  async #untilRunning(life: ContainerLife, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !life.isRunning)
      await this.#deps.clock.sleep(20, signal).catch(() => undefined);
  }

  async #probeOneRun(container: Container, life: ContainerLife, signal: AbortSignal): Promise<void> {
    const target = this.#probeTarget(container);
    const { clock } = this.#deps;
    if (container.startupProbe !== undefined) {
      const done = new AbortController();
      await watchProbe(
        container.startupProbe,
        target,
        clock,
        AbortSignal.any([signal, done.signal]),
        (success) => {
          if (success) done.abort();
          else life.kill("SIGKILL");
        },
      );
    }
    if (signal.aborted) return;
    life.started = true;
    this.#changed();
    const liveness = container.livenessProbe;
    const live =
      liveness === undefined
        ? undefined
        : watchProbe(liveness, target, clock, signal, (success) => {
            if (!success) life.kill("SIGKILL");
          });
    const setReady = (ready: boolean): void => {
      life.ready = ready;
      this.#changed();
    };
    if (container.readinessProbe === undefined) setReady(true);
    else await watchProbe(container.readinessProbe, target, clock, signal, setReady);
    await live;
  }

  async #postStart(container: Container): Promise<void> {
    const command = container.lifecycle?.postStart?.exec?.command;
    if (command === undefined) return;
    await this.#untilRunning(this.#life(container), this.#stop.signal);
    const exitCode = await this.#probeTarget(container).exec(command);
    if (exitCode !== 0) this.#life(container).kill("SIGKILL");
  }

  #probeTarget(container: Container): ProbeTarget {
    return {
      podIp: this.podIp,
      container,
      exec: async (command) => {
        const { environment } = await this.#command(container);
        const argv = command.map((argument) => expand(withPodLoopback(argument, this.podIp), environment));
        return execCommand(this.#program(argv), environment);
      },
    };
  }

  async #command(container: Container): Promise<ContainerCommand> {
    const environment = {
      ...(await environmentOf(container, this.pod, this.podIp, this.#baseEnvironment(), this.#readKey)),
      DEVCLUSTER_MOUNTS: JSON.stringify(
        (container.volumeMounts ?? []).map(({ mountPath, name }) => [
          mountPath,
          this.#volumes.folderOf(name),
        ]),
      ),
      NODE_OPTIONS: `--import ${preload}`,
      // A container that is started again takes its compiled code from here: half the start-up of a Node program.
      NODE_COMPILE_CACHE: join(dirname(this.#folder), "compile-cache"),
    };
    const entrypoint = container.command ?? this.#entrypoint(container.image);
    const argv = [...entrypoint, ...(container.args ?? [])].map((argument) =>
      expand(withPodLoopback(argument, this.podIp), environment),
    );
    return {
      argv: this.#program(argv),
      environment,
      logFile: this.logFile(container.name, this.#life(container).restartCount),
    };
  }

  /** `node` means the Node that runs us, and the name of an image's program means its entrypoint. */
  #program(argv: readonly string[]): readonly string[] {
    const [program = "", ...rest] = argv;
    if (program === "node") return [process.execPath, ...rest];
    const entrypoint = this.#deps.images[program];
    return entrypoint === undefined ? argv : [...entrypoint, ...rest];
  }

  #entrypoint(image: string): readonly string[] {
    const entrypoint = this.#deps.images[image];
    if (entrypoint === undefined) throw new Error(`ErrImagePull: image "${image}" is not in the image table`);
    return entrypoint;
  }

  #baseEnvironment(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "",
      HOSTNAME: this.pod.metadata.name,
      ...this.#deps.baseEnvironment,
    };
  }

  readonly #readKey: KeyReader = async (kind, { name, key }) => {
    const path = `/api/v1/namespaces/${this.pod.metadata.namespace}/${kind}/${name}`;
    const { status, body } = await this.#deps.api.expect("GET", path, undefined, [404]);
    const value = (body.data as Record<string, string> | undefined)?.[key];
    if (status === 404 || value === undefined) return undefined;
    return kind === "secrets" ? Buffer.from(value, "base64").toString("utf8") : value;
  };

  #changed(): void {
    this.#statusDirty = true;
    this.#statusWriter ??= this.#writeStatus().finally(() => {
      this.#statusWriter = undefined;
      if (this.#statusDirty) this.#changed();
    });
  }

  /** A change during a write begins another one, and the last state tells others that this pod has ended. */
  async #lastStatusWritten(): Promise<void> {
    for (let write = 0; this.#statusWriter !== undefined && write < lastWritesLimit; write++) {
      await this.#statusWriter;
    }
  }

  /** Writes the newest status; changes during a write are written by the next round. */
  async #writeStatus(): Promise<void> {
    await Promise.resolve();
    this.#statusDirty = false;
    const { namespace, name, uid } = this.pod.metadata;
    const status = statusOfPod(
      this.pod,
      this.podIp,
      this.containers,
      this.#message,
      new Date(this.#deps.clock.now()),
    );
    try {
      await this.#deps.api.expect(
        "PATCH",
        `/api/v1/namespaces/${namespace}/pods/${name}/status`,
        { metadata: { uid }, status },
        [404, 409],
      );
    } catch (error) {
      this.#deps.log.debug("pod status not written", { pod: name, error });
      await this.#deps.clock.sleep(200, AbortSignal.timeout(5000));
      this.#statusDirty = true;
    }
  }
}
