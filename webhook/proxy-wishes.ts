import { annotations, environment } from "#api/names";
import { ports } from "#api/ports";
import { annotationPath, checkVariableName, parseAnnotation } from "./annotation.ts";
import { type Resources, refusal } from "./injection-request.ts";
import type { Container, EnvVar, Pod } from "./pod.ts";
import { isReservedForProxy, type ProxyWishes } from "./proxy-container.ts";
import { parseResources, resourcesExample } from "./resources.ts";

/** The pod's annotations about injection (`spec/ctrlmesh.md` 3.2): read strictly, a bad value refuses the pod. */

/**
 * @param appContainers all containers but the proxy, as the user wrote them or as an earlier call left them
 * @throws INJECTION_REFUSED
 */
export function readProxyWishes(
  pod: Pod,
  appContainers: readonly Container[],
  present: Container | undefined,
): Omit<ProxyWishes, "alsoListen" | "relay"> {
  return {
    resources: readResources(pod),
    env: readEnvSync(pod, appContainers),
    upstream: readUpstream(appContainers, present),
  };
}

function readResources(pod: Pod): Resources | undefined {
  const key = annotations.proxyResource;
  const text = pod.metadata.annotations?.[key];
  if (text === undefined) return undefined;
  const value = parseAnnotation(text, key, resourcesExample);
  const parsed = parseResources(value);
  if ("resources" in parsed) return parsed.resources;
  throw refusal(annotationPath(key), parsed.problem, resourcesExample);
}

/** Comma list of `KEY=VALUE`, or `KEY`: the value of the first container that sets it plainly. */
function readEnvSync(pod: Pod, appContainers: readonly Container[]): EnvVar[] {
  const key = annotations.envSync;
  const text = pod.metadata.annotations?.[key];
  if (text === undefined || text.trim() === "") return [];
  return text.split(",").map((entry) => {
    const equals = entry.indexOf("=");
    const name = (equals < 0 ? entry : entry.slice(0, equals)).trim();
    checkVariableName(name, key, "write KEY=VALUE,KEY");
    if (isReservedForProxy(name)) {
      throw refusal(annotationPath(key), `${name} is set by injection`, "take it out of the list");
    }
    if (equals >= 0) return { name, value: entry.slice(equals + 1) };
    const found = appContainers
      .flatMap(({ env = [] }) => env)
      .find((variable) => variable.name === name && variable.value !== undefined);
    if (found?.value === undefined) {
      throw refusal(annotationPath(key), `no container sets ${name} to a plain value`, `write ${name}=VALUE`);
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
