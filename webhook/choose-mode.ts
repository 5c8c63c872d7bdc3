import { annotations, labels } from "#api/names";
import { type InjectionMode, injectionModes, refusal } from "./injection-request.ts";
import type { Pod } from "./pod.ts";

/** What pod or namespace say about how the operator is led to the proxy. */
export interface ChosenMode {
  readonly mode: InjectionMode;
  readonly byName: boolean;
}

type Annotations = Readonly<Record<string, string>>;

/**
 * The pod wins over the namespace, and its annotation over the label of the original.
 *
 * @throws INJECTION_REFUSED for a value that does not exist: a misspelt wish must not become another mode
 */
export function chooseMode(pod: Pod, namespaceAnnotations: Annotations): ChosenMode {
  return {
    mode: readMode(pod, namespaceAnnotations),
    byName: readByName(pod, namespaceAnnotations),
  };
}

function readMode(pod: Pod, namespaceAnnotations: Annotations): InjectionMode {
  const key = annotations.proxyMode;
  const own = pod.metadata.annotations?.[key];
  if (own === undefined && readIptablesLabel(pod)) return "iptables";
  const wanted = own ?? namespaceAnnotations[key] ?? "env";
  const mode = injectionModes.find((name) => name === wanted);
  if (mode !== undefined) return mode;
  throw refusal(
    annotationOf(key, own),
    `there is no mode "${wanted}"`,
    `the modes are ${injectionModes.join(", ")}`,
  );
}

function readIptablesLabel(pod: Pod): boolean {
  const value = pod.metadata.labels?.[labels.enableIptables] ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw refusal(
    `metadata.labels[${labels.enableIptables}]`,
    `"${value}" is not allowed`,
    'write "true" or "false"',
  );
}

function readByName(pod: Pod, namespaceAnnotations: Annotations): boolean {
  const key = annotations.proxyByName;
  const own = pod.metadata.annotations?.[key];
  const value = own ?? namespaceAnnotations[key] ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw refusal(annotationOf(key, own), `"${value}" is not allowed`, 'write "true" or "false"');
}

function annotationOf(key: string, own: string | undefined): string {
  return `${own === undefined ? "namespace " : ""}metadata.annotations[${key}]`;
}
