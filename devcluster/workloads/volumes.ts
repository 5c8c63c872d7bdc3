import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { KubernetesObject } from "#api/meta";
import type { WorkloadApi } from "./api.ts";
import { fieldOf, withPodLoopback } from "./environment.ts";
import type { KeyedSource, Pod, ProjectedSource, Volume } from "./pod-spec.ts";

/** Projects the volumes of one pod as files below a folder, and refreshes them. */
export class PodVolumes {
  readonly #pod: Pod;
  readonly #podIp: string;
  readonly #folder: string;
  readonly #api: WorkloadApi;
  /** Written tokens: path to the time (Unix seconds) at which a new one is due. */
  readonly #tokenDueSeconds = new Map<string, number>();

  constructor(pod: Pod, podIp: string, folder: string, api: WorkloadApi) {
    this.#pod = pod;
    this.#podIp = podIp;
    this.#folder = folder;
    this.#api = api;
  }

  folderOf(volume: string): string {
    return join(this.#folder, volume);
  }

  /**
   * Writes what is missing or due: tokens at 80 % of their life, ConfigMaps and Secrets as they are now.
   *
   * @throws Error that names the missing source: the pod can't start yet
   */
  async refresh(nowSeconds: number): Promise<void> {
    for (const volume of this.#pod.spec.volumes ?? []) {
      mkdirSync(this.folderOf(volume.name), { recursive: true });
      for (const source of sourcesOf(volume)) await this.#project(volume.name, source, nowSeconds);
    }
  }

  async #project(volume: string, source: ProjectedSource, nowSeconds: number): Promise<void> {
    if (source.serviceAccountToken !== undefined) {
      await this.#writeToken(volume, source.serviceAccountToken, nowSeconds);
    }
    if (source.configMap !== undefined) await this.#writeKeys(volume, "configmaps", source.configMap);
    if (source.secret !== undefined) await this.#writeKeys(volume, "secrets", source.secret);
    for (const field of source.downwardAPI?.items ?? []) {
      this.#write(volume, field.path, fieldOf(field.fieldRef?.fieldPath ?? "", this.#pod, this.#podIp));
    }
  }

  async #writeToken(
    volume: string,
    source: NonNullable<ProjectedSource["serviceAccountToken"]>,
    nowSeconds: number,
  ): Promise<void> {
    const key = join(volume, source.path);
    if ((this.#tokenDueSeconds.get(key) ?? 0) > nowSeconds) return;
    const { namespace, name, uid } = this.#pod.metadata;
    const account = this.#pod.spec.serviceAccountName ?? "default";
    const lifeSeconds = source.expirationSeconds ?? 3600;
    const { body } = await this.#api.expect(
      "POST",
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {
          audiences: source.audience === undefined ? undefined : [source.audience],
          expirationSeconds: lifeSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      },
    );
    const { token } = body.status as { token: string };
    this.#write(volume, source.path, token, 0o600);
    this.#tokenDueSeconds.set(key, nowSeconds + lifeSeconds * 0.8);
  }

  async #writeKeys(volume: string, kind: "configmaps" | "secrets", source: KeyedSource): Promise<void> {
    const name = source.name ?? source.secretName ?? "";
    const { namespace } = this.#pod.metadata;
    const answer = await this.#api.expect(
      "GET",
      `/api/v1/namespaces/${namespace}/${kind}/${name}`,
      undefined,
      [404],
    );
    if (answer.status === 404) {
      if (source.optional === true) return;
      throw new Error(`volume ${volume}: ${kind} "${name}" not found`);
    }
    const values = valuesOf(answer.body, kind);
    for (const { key, path } of source.items ?? Object.keys(values).map((key) => ({ key, path: key }))) {
      const value = values[key];
      if (value === undefined && source.optional !== true) {
        throw new Error(`volume ${volume}: ${kind} "${name}" has no key ${key}`);
      }
      if (value !== undefined) this.#write(volume, path, withPodLoopback(value, this.#podIp));
    }
  }

  /** By rename, so that a reader sees the old or the new content and nothing between. */
  #write(volume: string, path: string, content: string, mode = 0o644): void {
    const file = join(this.folderOf(volume), path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.partial`, content, { mode });
    chmodSync(`${file}.partial`, mode);
    renameSync(`${file}.partial`, file);
  }
}

function sourcesOf(volume: Volume): readonly ProjectedSource[] {
  if (volume.projected !== undefined) return volume.projected.sources;
  if (volume.configMap !== undefined) return [{ configMap: volume.configMap }];
  if (volume.secret !== undefined) return [{ secret: volume.secret }];
  return [];
}

function valuesOf(object: KubernetesObject, kind: "configmaps" | "secrets"): Record<string, string> {
  const entries = Object.entries((object.data ?? {}) as Record<string, string>);
  if (kind === "configmaps") return Object.fromEntries(entries);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
}
