/**
 * What the soak's cluster holds: teams with a namespace each, and in it objects that stay (their name says their
 * team) and objects that come and go. The shard sees the teams of the view in force.
 */

export const teams = ["t0", "t1", "t2", "t3", "t4", "t5"] as const;

/** ConfigMaps change hands each second, Secrets sometimes, ServiceAccounts never: their watches live long. */
export const kinds = {
  configmaps: { kind: "ConfigMap", lasting: 20, paddingBytes: 100 },
  secrets: { kind: "Secret", lasting: 20, paddingBytes: 100 },
  serviceaccounts: { kind: "ServiceAccount", lasting: 60, paddingBytes: 1500 },
} as const;

export type Resource = keyof typeof kinds;

/** Teams of the shard by resource, and the namespaces that it may not write to. */
export interface View {
  readonly teams: Readonly<Record<Resource, readonly string[]>>;
  readonly fenced: readonly string[];
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
}

export const namespaceOf = (team: string): string => `soak-${team}`;
export const lastingName = (team: string, index: number): string => `lasting-${team}-${index}`;

/** Namespaces and all objects that stay. */
export function lastingObjects(): KubernetesObject[] {
  return teams.flatMap((team) => [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespaceOf(team), labels: { team } } },
    ...Object.entries(kinds).flatMap(([, { kind, lasting, paddingBytes }]) =>
      Array.from({ length: lasting }, (_, index) =>
        objectOf(kind, team, lastingName(team, index), paddingBytes),
      ),
    ),
  ]);
}

export function objectOf(kind: string, team: string, name: string, paddingBytes: number): KubernetesObject {
  return {
    apiVersion: "v1",
    kind,
    metadata: {
      name,
      namespace: namespaceOf(team),
      labels: { team, ...(name.startsWith("lasting") ? {} : { passing: "true" }) },
      annotations: { padding: "x".repeat(paddingBytes) },
    },
  };
}

/** The view that follows in the n-th second. */
export function viewAt(second: number): View {
  const three = (first: number): string[] => [0, 1, 2].map((step) => `t${(first + step) % teams.length}`);
  return {
    teams: {
      configmaps: three(second),
      secrets: three(Math.floor(second / 20)),
      serviceaccounts: ["t0", "t1", "t2"],
    },
    fenced: second % 10 < 3 ? [namespaceOf("t5")] : [],
  };
}
