import type { Container, EnvVar, KeyRef, Pod } from "./pod-spec.ts";

/** Reads a key of a ConfigMap or Secret of the pod's namespace; undefined when the object or the key is missing. */
export type KeyReader = (kind: "configmaps" | "secrets", ref: KeyRef) => Promise<string | undefined>;

/**
 * The one known difference from a real pod: pods share the machine's loopback interface, so each pod has an
 * address of its own in 127/8, and what its spec calls 127.0.0.1 means that address.
 */
export function withPodLoopback(text: string, podIp: string): string {
  return text.replace(/127\.0\.0\.1(?![0-9])/g, podIp);
}

/**
 * Environment of a container: what the kubelet always sets (`base`), then the spec's list in order, with
 * `$(NAME)` expanded from the entries before it.
 *
 * @throws Error that names the reference when a required key is missing: the container can't start
 */
export async function environmentOf(
  container: Container,
  pod: Pod,
  podIp: string,
  base: Readonly<Record<string, string>>,
  readKey: KeyReader,
): Promise<Record<string, string>> {
  const environment: Record<string, string> = { ...base };
  for (const variable of container.env ?? []) {
    const value = await resolveVariable(variable, pod, podIp, readKey);
    if (value !== undefined) environment[variable.name] = expand(value, environment);
  }
  return environment;
}

async function resolveVariable(
  variable: EnvVar,
  pod: Pod,
  podIp: string,
  readKey: KeyReader,
): Promise<string | undefined> {
  if (variable.value !== undefined) return withPodLoopback(variable.value, podIp);
  const source = variable.valueFrom;
  if (source?.fieldRef !== undefined) return fieldOf(source.fieldRef.fieldPath, pod, podIp);
  const [kind, ref] =
    source?.configMapKeyRef !== undefined
      ? (["configmaps", source.configMapKeyRef] as const)
      : (["secrets", source?.secretKeyRef] as const);
  if (ref === undefined) return "";
  const value = await readKey(kind, ref);
  if (value === undefined && ref.optional !== true) {
    throw new Error(`env ${variable.name}: ${kind} ${ref.name} has no key ${ref.key}`);
  }
  return value;
}

/** Value of a downward API field path. */
export function fieldOf(path: string, pod: Pod, podIp: string): string {
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) {
    const map = keyed[1] === "labels" ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[keyed[2] ?? ""] ?? "";
  }
  switch (path) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace;
    case "metadata.uid":
      return pod.metadata.uid;
    case "status.podIP":
    case "status.podIPs":
    case "status.hostIP":
      return podIp;
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "default";
    case "spec.nodeName":
      return pod.spec.nodeName ?? "";
    default:
      throw new Error(`field path ${path} is not known`);
  }
}

/** `$(NAME)` to the variable's value, `$$(NAME)` to the literal; unknown names stay (Kubernetes' rule). */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z0-9_.-]+)\)/g, (whole, name: string | undefined) =>
    name === undefined ? "$" : (environment[name] ?? whole),
  );
}
