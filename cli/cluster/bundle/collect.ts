import { stringify } from "yaml";
import { toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { containers, group, labels, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import { version } from "#api/version";
import { isApiError } from "#kube/client/api-error";
import type { ResourceKind } from "#kube/client/client";
import { listAll } from "#kube/client/list-all";
import { memberOf, recordsOf, textOf } from "../check/read.ts";
import type { ClusterSession } from "../connection.ts";
import { kinds, managerPodSelector } from "../kinds.ts";
import { readMeshSettings } from "../mesh-settings.ts";
import { readMeshStatus } from "../mesh-status.ts";
import { redactObject, redactText } from "./redact.ts";
import type { ArchiveFile } from "./tar.ts";

export interface CollectOptions {
  /** Only the operators of this namespace. */
  readonly namespace: string | undefined;
  readonly sinceSeconds: number;
}

/** Enough for some hours; a dump must stay small enough to be sent. */
const logLimitBytes = 5_000_000;

const ours = (resource: string, namespaced = true): ResourceKind => ({
  group,
  version: "v1alpha1",
  resource,
  namespaced,
});
const admission = (resource: string): ResourceKind => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource,
  namespaced: false,
});

/** Objects of all namespaces. Whatever is not served or not allowed is an entry in errors.txt. */
const clusterWide: readonly ResourceKind[] = [
  kinds.shardingConfigs,
  kinds.ledgers,
  kinds.managerStates,
  ours("circuitbreakers"),
  ours("faultinjections"),
  admission("mutatingwebhookconfigurations"),
  admission("validatingwebhookconfigurations"),
  admission("mutatingadmissionpolicies"),
  admission("mutatingadmissionpolicybindings"),
  admission("validatingadmissionpolicies"),
  admission("validatingadmissionpolicybindings"),
];

const inNamespace: readonly ResourceKind[] = [
  kinds.configMaps,
  kinds.leases,
  { group: "", version: "v1", resource: "events", namespaced: true },
  { group: "apps", version: "v1", resource: "deployments", namespaced: true },
  { group: "apps", version: "v1", resource: "statefulsets", namespaced: true },
];

/** Gathers what whoever helps needs to see, without secrets. */
export async function collect(
  options: CollectOptions,
  session: ClusterSession,
): Promise<readonly ArchiveFile[]> {
  const bundle = new Bundle(session);
  const { client, signal, progress } = session;
  const settings = await bundle.read("settings.json", () => readMeshSettings(client, session), undefined);
  const managerNamespace = settings?.namespace ?? wellKnown.defaultManagerNamespace;
  await bundle.add("version.json", async () => {
    const server = await client.raw("GET", "/version", undefined, { signal });
    return JSON.stringify({ ctrlmesh: version, manager: settings?.version, server }, null, 2);
  });
  if (settings !== undefined)
    await bundle.add("settings.json", async () => JSON.stringify(settings, null, 2));
  await bundle.add("status.json", async () =>
    JSON.stringify((await readMeshStatus(client, options.namespace, session)).status, null, 2),
  );
  await progress.step("objects", async () => {
    for (const kind of clusterWide) await bundle.addObjects(`objects/${kind.resource}.yaml`, kind, undefined);
  });
  const injected = await bundle.read(
    "pods with a proxy",
    () => podsOf(session, options.namespace, labels.shardingConfigInjected),
    [],
  );
  const managers = await bundle.read(
    "pods of the manager",
    () => podsOf(session, managerNamespace, managerPodSelector),
    [],
  );
  const namespaces = new Set([
    managerNamespace,
    ...injected.map(({ metadata }) => metadata?.namespace ?? ""),
  ]);
  await progress.step("namespaces", async () => {
    for (const namespace of namespaces) {
      for (const kind of inNamespace)
        await bundle.addObjects(`namespaces/${namespace}/${kind.resource}.yaml`, kind, namespace);
      await bundle.add(`namespaces/${namespace}/secrets.txt`, () => secretNames(session, namespace));
    }
  });
  for (const [pods, port, container] of [
    [managers, ports.managerHttp, undefined],
    [injected, ports.proxyAdmin, containers.proxy],
  ] as const) {
    await progress.step(`${pods.length} pods: logs and metrics`, async () => {
      for (const pod of pods) await bundle.addPod(pod, port, container, options.sinceSeconds);
    });
  }
  return bundle.files();
}

async function podsOf(
  { client, signal }: ClusterSession,
  namespace: string | undefined,
  labelSelector: string,
): Promise<readonly KubernetesObject[]> {
  const query = namespace === undefined ? { labelSelector } : { namespace, labelSelector };
  return (await listAll(client, kinds.pods, query, { signal })).objects;
}

/** Names only: their values never leave the API server. */
async function secretNames({ client, signal }: ClusterSession, namespace: string): Promise<string> {
  const { objects } = await listAll(client, kinds.secrets, { namespace, metadataOnly: true }, { signal });
  return objects.map(({ metadata }) => `${metadata?.name}\n`).join("");
}

/** Files so far. What can't be had is noted and holds nothing up. */
class Bundle {
  readonly #session: ClusterSession;
  readonly #files: ArchiveFile[] = [];
  readonly #errors: string[] = [];

  constructor(session: ClusterSession) {
    this.#session = session;
  }

  files(): readonly ArchiveFile[] {
    const errors = this.#errors.length === 0 ? "none\n" : this.#errors.join("");
    return [...this.#files, { path: "errors.txt", content: redactText(errors) }];
  }

  async add(path: string, content: () => Promise<string>): Promise<void> {
    const text = await this.read(path, content, undefined);
    if (text !== undefined) this.#files.push({ path, content: redactText(text) });
  }

  /** What others rest on, or what they do with instead. */
  async read<T, U>(what: string, ask: () => Promise<T>, otherwise: U): Promise<T | U> {
    try {
      return await ask();
    } catch (thrown) {
      this.#session.signal.throwIfAborted();
      // Nothing is to be had from a server that does not answer the first question.
      if (this.#files.length === 0 && isApiError(thrown, "API_UNREACHABLE")) throw thrown;
      const { code, message } = toCtrlmeshError(thrown);
      this.#errors.push(`${what}: ${code}: ${message}\n`);
      return otherwise;
    }
  }

  async addObjects(path: string, kind: ResourceKind, namespace: string | undefined): Promise<void> {
    const { client, signal } = this.#session;
    await this.add(path, async () => {
      const query = namespace === undefined ? {} : { namespace };
      const { objects } = await listAll(client, kind, query, { signal });
      return objects.map((object) => yamlOf(object)).join("---\n");
    });
  }

  async addPod(
    pod: KubernetesObject,
    port: number,
    container: string | undefined,
    sinceSeconds: number,
  ): Promise<void> {
    const { client, signal } = this.#session;
    const { namespace = "", name = "" } = pod.metadata ?? {};
    const folder = `namespaces/${namespace}/pods/${name}`;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    await this.add(`${folder}/pod.yaml`, async () => yamlOf(pod));
    const wanted = container === undefined ? containersOf(pod) : [container];
    for (const each of wanted) {
      const query = { container: each, timestamps: "true", limitBytes: String(logLimitBytes) };
      const search = new URLSearchParams({ ...query, sinceSeconds: String(sinceSeconds) });
      await this.add(`${folder}/${each}.log`, () => client.text(`${path}/log?${search}`, { signal }));
      if (restartsOf(pod, each) === 0) continue;
      const previous = new URLSearchParams({ ...query, previous: "true" });
      await this.add(`${folder}/${each}.previous.log`, () =>
        client.text(`${path}/log?${previous}`, { signal }),
      );
    }
    await this.add(`${folder}/metrics.txt`, () => client.text(`${path}:${port}/proxy/metrics`, { signal }));
  }
}

function yamlOf(object: KubernetesObject): string {
  return stringify(redactObject(object), { lineWidth: 0, aliasDuplicateObjects: false });
}

function containersOf({ spec }: KubernetesObject): string[] {
  return recordsOf(memberOf(spec, "containers")).flatMap(({ name }) => textOf(name) ?? []);
}

function restartsOf({ status }: KubernetesObject, container: string): number {
  const all = [
    ...recordsOf(memberOf(status, "containerStatuses")),
    ...recordsOf(memberOf(status, "initContainerStatuses")),
  ];
  const count = all.find(({ name }) => name === container)?.restartCount;
  return typeof count === "number" ? count : 0;
}
