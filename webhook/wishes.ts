import { isAbsolute } from "node:path";
import { Type } from "typebox";
import { Value } from "typebox/value";
import { annotations, containers, environment } from "#api/names";
import { ports } from "#api/ports";
import { type Resources, refusal } from "./injection-request.ts";
import { byMountPath, byName, withEntries } from "./keyed-list.ts";
import type { Container, EnvVar, Pod } from "./pod.ts";
import { isReservedForProxy, type ProxyWishes } from "./proxy-container.ts";

/** The pod's annotations about injection (`spec/ctrlmesh.md` 3.2): read strictly, a bad value refuses the pod. */

/**
 * @param appContainers all containers but the proxy, as the user wrote them or as an earlier call left them
 * @throws INJECTION_REFUSED
 */
export function readProxyWishes(
  pod: Pod,
  appContainers: readonly Container[],
  present: Container | undefined,
): ProxyWishes {
  return {
    resources: readResources(pod),
    env: readEnvSync(pod, appContainers),
    upstream: readUpstream(appContainers, present),
  };
}

const quantity = Type.Union([
  Type.String({
    pattern: "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
  }),
  Type.Number(),
]);
const quantities = Type.Record(Type.String(), quantity);
const resourcesSchema = Type.Object(
  { requests: Type.Optional(quantities), limits: Type.Optional(quantities) },
  { additionalProperties: false },
);

function readResources(pod: Pod): Resources | undefined {
  const key = annotations.proxyResource;
  const text = pod.metadata.annotations?.[key];
  if (text === undefined) return undefined;
  const value = parseJson(text, key, resourcesExample);
  if (!Value.Check(resourcesSchema, value)) {
    const [first] = Value.Errors(resourcesSchema, value);
    throw refusal(
      place(key),
      `${first?.instancePath ?? ""} ${first?.message ?? "is wrong"}`.trim(),
      resourcesExample,
    );
  }
  return {
    ...(value.requests === undefined ? {} : { requests: asText(value.requests) }),
    ...(value.limits === undefined ? {} : { limits: asText(value.limits) }),
  };
}

const resourcesExample =
  'write JSON such as {"requests":{"cpu":"50m","memory":"100Mi"},"limits":{"memory":"256Mi"}}';

function asText(amounts: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
}

/** Comma list of `KEY=VALUE`, or `KEY`: the value of the first container that sets it plainly. */
function readEnvSync(pod: Pod, appContainers: readonly Container[]): EnvVar[] {
  const key = annotations.envSync;
  const text = pod.metadata.annotations?.[key];
  if (text === undefined || text.trim() === "") return [];
  return text.split(",").map((entry) => {
    const equals = entry.indexOf("=");
    const name = (equals < 0 ? entry : entry.slice(0, equals)).trim();
    checkName(name, key, "write KEY=VALUE,KEY");
    if (isReservedForProxy(name)) {
      throw refusal(place(key), `${name} is set by injection`, "take it out of the list");
    }
    if (equals >= 0) return { name, value: entry.slice(equals + 1) };
    const found = appContainers
      .flatMap(({ env = [] }) => env)
      .find((variable) => variable.name === name && variable.value !== undefined);
    if (found?.value === undefined) {
      throw refusal(place(key), `no container sets ${name} to a plain value`, `write ${name}=VALUE`);
    }
    return { name, value: found.value };
  });
}

/** Where the operator's containers say that the API server is, unless they already say it is the proxy. */
function readUpstream(appContainers: readonly Container[], present: Container | undefined): EnvVar[] {
  return [environment.kubernetesServiceHost, environment.kubernetesServicePort].flatMap((name) => {
    const found = new Map<string, EnvVar>();
    for (const variable of appContainers.flatMap(({ env = [] }) => env)) {
      if (variable.name !== name || ours.has(variable.value)) continue;
      found.set(JSON.stringify([variable.value, variable.valueFrom]), variable);
    }
    const kept = present?.env?.find((variable) => variable.name === name);
    if (kept !== undefined) return [kept];
    if (found.size > 1) {
      throw refusal(
        "spec.containers[].env",
        `containers set ${name} to different values, and a pod has one proxy`,
        "set the same value in all of them, or none",
      );
    }
    return [...found.values()];
  });
}

const ours = new Set<string | undefined>(["127.0.0.1", String(ports.proxyApiserver)]);

const envInjectSchema = Type.Array(
  Type.Object(
    {
      name: Type.String({ minLength: 1 }),
      env: Type.Array(
        Type.Object(
          { key: Type.String({ minLength: 1 }), value: Type.String() },
          { additionalProperties: false },
        ),
      ),
    },
    { additionalProperties: false },
  ),
);
const envInjectExample =
  'write JSON such as [{"name":"manager","env":[{"key":"LOG_LEVEL","value":"debug"}]}]';

/**
 * Variables to set or override, by container.
 *
 * @throws INJECTION_REFUSED also for a container that the pod does not have
 */
export function readEnvInject(pod: Pod, appContainers: readonly Container[]): Map<string, EnvVar[]> {
  const key = annotations.envInject;
  const text = pod.metadata.annotations?.[key];
  const wanted = new Map<string, EnvVar[]>();
  if (text === undefined) return wanted;
  const value = parseJson(text, key, envInjectExample);
  if (!Value.Check(envInjectSchema, value)) {
    const [first] = Value.Errors(envInjectSchema, value);
    throw refusal(
      place(key),
      `${first?.instancePath ?? ""} ${first?.message ?? "is wrong"}`.trim(),
      envInjectExample,
    );
  }
  for (const { name, env } of value) {
    if (!appContainers.some((container) => container.name === name)) {
      const names = appContainers.map((container) => container.name).join(", ");
      throw refusal(place(key), `the pod has no container "${name}"`, `it has ${names}`);
    }
    const variables = env.map((variable) => ({ name: variable.key, value: variable.value }));
    for (const variable of variables) {
      checkName(variable.name, key, envInjectExample);
      if (variable.name.startsWith("KUBERNETES_SERVICE_") || variable.name === environment.kubeconfig) {
        throw refusal(place(key), `${variable.name} is set by injection`, "take it out of the annotation");
      }
    }
    wanted.set(name, withEntries(wanted.get(name), variables, byName));
  }
  return wanted;
}

export const sharedLogsVolume = "app-shared-logs";

/**
 * Mounts one volume at the log path in every container: the one that some container has there, else an
 * emptyDir.
 *
 * @throws INJECTION_REFUSED
 */
export function shareLogs(pod: Pod): Pod {
  const key = annotations.logPath;
  const mountPath = pod.metadata.annotations?.[key];
  if (mountPath === undefined) return pod;
  if (!isAbsolute(mountPath) || mountPath.includes(":") || mountPath === "/") {
    throw refusal(
      place(key),
      `"${mountPath}" is no absolute path below /`,
      "write a path such as /var/log/app",
    );
  }
  const mounted = pod.spec.containers
    .flatMap(({ volumeMounts = [] }) => volumeMounts)
    .filter((mount) => mount.mountPath === mountPath);
  const names = [...new Set(mounted.map(({ name }) => name))];
  if (names.length > 1) {
    throw refusal(
      place(key),
      `containers mount different volumes there: ${names.join(", ")}`,
      "mount one volume",
    );
  }
  const name = names[0] ?? sharedLogsVolume;
  const added = names.length === 0 ? [{ name, emptyDir: {} }] : [];
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.map((container) => ({
        ...container,
        volumeMounts: container.volumeMounts?.some((mount) => mount.name === name)
          ? container.volumeMounts
          : withEntries(container.volumeMounts, [{ name, mountPath }], byMountPath),
      })),
      volumes: withEntries(pod.spec.volumes, added, byName),
    },
  };
}

function parseJson(text: string, key: string, example: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refusal(place(key), `no JSON: ${cause instanceof Error ? cause.message : String(cause)}`, example);
  }
}

function checkName(name: string, key: string, hint: string): void {
  if (/^[A-Za-z_.-][A-Za-z0-9_.-]*$/.test(name)) return;
  throw refusal(place(key), `"${name}" is no name of an environment variable`, hint);
}

function place(key: string): string {
  return `metadata.annotations[${key}]`;
}

/** Whether a container is the proxy of an earlier call. */
export function isProxy({ name }: Container): boolean {
  return name === containers.proxy;
}
