import { CtrlmeshError } from "#api/errors";
import type { LogLevel } from "#runtime/log";
import type { HostAndPort } from "#runtime/setting-types";

/** How the operator's containers are led to the proxy. */
export const injectionModes = ["env", "kubeconfig", "iptables"] as const;
export type InjectionMode = (typeof injectionModes)[number];

/** Which of the kernel's packet filters takes the rules of mode iptables; legacy needs NET_RAW besides NET_ADMIN. */
export const iptablesBackends = ["nft", "legacy"] as const;
export type IptablesBackend = (typeof iptablesBackends)[number];

/** A Kubernetes quantity map: "cpu" to "20m". */
export type Quantities = Readonly<Record<string, string>>;

export interface Resources {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

/** What the manager's settings say about every proxy container. */
export interface InjectionSettings {
  readonly image: string;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never";
  readonly resources: Resources;
  /** host:port of the control stream. */
  readonly managerAddress: string;
  /** Fixes the TLS name of the manager. */
  readonly managerNamespace: string;
  /** Least severe level that the proxy logs; undefined: its default. */
  readonly logLevel?: LogLevel;
  /** Further environment of the proxy. */
  readonly extraEnv: Readonly<Record<string, string>>;
  readonly iptablesBackend: IptablesBackend;
}

/** Small on purpose: an idle proxy needs 70 MiB and next to no CPU; no CPU limit, which would throttle bursts. */
export const defaultProxyResources: Resources = {
  requests: { cpu: "20m", memory: "80Mi" },
  limits: { memory: "256Mi" },
};

export interface InjectionRequest {
  /** Namespace of the pod; the pod itself may not carry it yet. */
  readonly namespace: string;
  /** Name of the ShardingConfig that selects the pod. */
  readonly shard: string;
  readonly mode: InjectionMode;
  /** Whether the API server and its kubelets know init containers that keep running (1.29 and later). */
  readonly nativeSidecars: boolean;
  /** Whether clients that dial the API server's name are led to the proxy as well. */
  readonly byName: boolean;
  /** Addresses of the Service `kubernetes`; only mode iptables needs them. */
  readonly apiServer: readonly HostAndPort[];
  /** The operator's own admission webhook, as the ShardingConfig names it. */
  readonly webhook?: { readonly certDir: string; readonly port: number };
  /** Level that Pod Security enforces in the namespace, if any. */
  readonly podSecurity: string | undefined;
  readonly settings: InjectionSettings;
}

/** What injection did, written into the annotation `injected`. */
export interface InjectionRecord {
  readonly shard: string;
  readonly mode: InjectionMode;
  /** Where the proxy stands: a native sidecar or the first container. */
  readonly sidecar: "native" | "container";
  /** Containers that were led to the proxy. */
  readonly containers: readonly string[];
  /** Volumes that injection added. */
  readonly volumes: readonly string[];
  /** Volumes whose `ca.crt` now comes from the CA bundle. */
  readonly caVolumes: readonly string[];
  /** Containers whose kubeconfig flag was rewritten. */
  readonly kubeconfigFlags: readonly string[];
}

/** A pod that must not run as it is. */
export function refusal(where: string, what: string, hint: string): CtrlmeshError {
  return new CtrlmeshError("INJECTION_REFUSED", { where, what, hint });
}
