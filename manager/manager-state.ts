import { isDeepStrictEqual } from "node:util";
import { CtrlmeshError } from "#api/errors";
import { type ManagerState, parseManagerState, type ShardingSettings } from "#api/manager-state";
import type { KubernetesObject } from "#api/meta";
import { group, wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import type { Clock } from "#runtime/clock";

export const managerStateKind: ResourceKind = {
  group,
  version: "v1alpha1",
  resource: "managerstates",
  namespaced: false,
};

type Status = NonNullable<ManagerState["status"]>;

/** A replica of the manager. */
export interface Endpoint {
  readonly name: string;
  readonly podIP: string;
}

export interface Endpoints {
  readonly namespace: string;
  readonly replicas: readonly Endpoint[];
  /** Name of the replica that leads. */
  readonly leader: string;
  readonly controlPort: number;
  /** Of the replica that leads. */
  readonly version: string;
  readonly sharding: ShardingSettings;
}

export interface LeadershipDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
}

const attempts = 10;

/**
 * The number of this leadership, which orders snapshots and ledgers. Kept in ManagerState by compare-and-swap and
 * raised above every number known, so that it grows over all leaderships, whatever became of the Lease.
 */
export class LeadershipTerm {
  readonly #deps: LeadershipDeps;
  #current = 0;

  private constructor(deps: LeadershipDeps) {
    this.#deps = deps;
  }

  /**
   * Begins a leadership.
   *
   * @param atLeast a number that the term must reach, such as the Lease's count of changes of hands
   * @throws CtrlmeshError of the API client
   */
  static async claim(deps: LeadershipDeps, atLeast: number, signal: AbortSignal): Promise<LeadershipTerm> {
    const term = new LeadershipTerm(deps);
    await term.raise(atLeast, signal);
    return term;
  }

  get current(): number {
    return this.#current;
  }

  /**
   * Raises the term to at least a number, which a proxy or a ledger has seen. Always to a new one.
   *
   * @throws LEADERSHIP_LOST when another leadership was begun after ours
   */
  async raise(atLeast: number, signal: AbortSignal): Promise<void> {
    await changeStatus(this.#deps.client, signal, (status) => {
      const stored = status.term ?? 0;
      this.#refuseAfterAnother(stored);
      const term = Math.max(stored + 1, atLeast);
      if (!Number.isSafeInteger(term)) {
        throw new CtrlmeshError("INTERNAL", { what: `term ${term} cannot be counted any further` });
      }
      return { ...status, term };
    }).then((status) => {
      this.#current = status.term ?? 0;
    });
  }

  /**
   * Publishes where the replicas are and which one leads; writes only what differs.
   *
   * @throws LEADERSHIP_LOST when another leadership was begun after ours
   */
  async publish(endpoints: Endpoints, signal: AbortSignal): Promise<void> {
    await changeStatus(this.#deps.client, signal, (status) => {
      this.#refuseAfterAnother(status.term ?? 0);
      const next = withEndpoints(status, endpoints);
      if (isDeepStrictEqual({ ...next, updateTimestamp: status.updateTimestamp }, status)) return status;
      return { ...next, updateTimestamp: `${new Date(this.#deps.clock.now()).toISOString().slice(0, 19)}Z` };
    });
  }

  #refuseAfterAnother(stored: number): void {
    if (this.#current === 0 || stored <= this.#current) return;
    throw new CtrlmeshError("LEADERSHIP_LOST", {
      what: `leadership ${stored} has begun, ours is ${this.#current}`,
    });
  }
}

/** host:port of the leader's control server; undefined when none is known. */
export function leaderAddress(object: KubernetesObject | undefined): string | undefined {
  if (object === undefined) return undefined;
  let status: ManagerState["status"];
  try {
    status = parseManagerState(object).status;
  } catch {
    return undefined; // written by another hand; the leader corrects it
  }
  const leader = status?.endpoints?.find((endpoint) => endpoint.leader);
  const port = status?.ports?.grpcLeaderElectionPort;
  if (leader === undefined || leader.podIP === "" || port === undefined) return undefined;
  return leader.podIP.includes(":") ? `[${leader.podIP}]:${port}` : `${leader.podIP}:${port}`;
}

function withEndpoints(status: Status, published: Endpoints): Status {
  const { namespace, replicas, leader, controlPort, version, sharding } = published;
  const endpoints = replicas
    .map(({ name, podIP }) => ({ name, podIP, leader: name === leader }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const ports = { grpcLeaderElectionPort: controlPort, grpcNonLeaderElectionPort: controlPort };
  return { ...status, namespace, endpoints, ports, version, sharding };
}

/** Compare-and-swap on the status, which is made where there is none. Returns what is stored then. */
async function changeStatus(
  client: KubeClient,
  signal: AbortSignal,
  change: (status: Status) => Status,
): Promise<Status> {
  const name = { name: wellKnown.managerState };
  for (let attempt = 1; ; attempt++) {
    try {
      const object = await client
        .get(managerStateKind, name, { signal })
        .catch((thrown: unknown) => createWhenMissing(client, thrown, signal));
      const stored = statusOf(object);
      const next = change(stored);
      if (next === stored) return stored;
      await client.update(managerStateKind, { ...object, status: next }, { signal, subresource: "status" });
      return next;
    } catch (thrown) {
      if (!isApiError(thrown, "API_CONFLICT") || attempt >= attempts) throw thrown;
    }
  }
}

async function createWhenMissing(
  client: KubeClient,
  thrown: unknown,
  signal: AbortSignal,
): Promise<KubernetesObject> {
  if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
  const object = {
    apiVersion: `${managerStateKind.group}/${managerStateKind.version}`,
    kind: "ManagerState",
    metadata: { name: wellKnown.managerState },
    spec: {},
  };
  return await client.create(managerStateKind, object, { signal });
}

function statusOf(object: KubernetesObject): Status {
  try {
    return parseManagerState(object).status ?? {};
  } catch {
    // Only its term matters beyond repair, and that was unreadable: `atLeast` carries the ledgers' highest.
    return {};
  }
}
