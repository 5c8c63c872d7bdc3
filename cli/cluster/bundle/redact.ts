import type { KubernetesObject } from "#api/meta";
import { annotations, environment, group } from "#api/names";
import { isRecord } from "#kube/client/api-error";

/** In the place of what was taken out. */
export const redacted = "[redacted]";

const secretName =
  "(?:pass(?:word|wd|phrase)?|secret(?:[-_]?key)?|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)";

/** What secrets look like wherever they stand: the value goes, what is around it stays. */
const patterns: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, redacted],
  // The same in base64, where line ends may be written out. Certificates begin in the same way and are public.
  [/LS0tLS1CRUdJTi(?!BDRVJUSUZJQ0FURS)[A-Za-z0-9+/=]+/g, redacted],
  // JSON Web Tokens (RFC 7519).
  [/eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?/g, redacted],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${redacted}`],
  [/(:\/\/[^\s/:@]*):[^\s/@]+@/g, `$1:${redacted}@`],
  // In quotes up to the last of them, which are escaped in JSON within JSON.
  [
    new RegExp(
      `(${secretName}(?:\\\\*["'])?[ \\t]*[=:][ \\t]*(\\\\*["']))(?!\\2|\\[redacted\\])(?:\\\\.|[^\\\\\\n])+?(\\2|$)`,
      "gim",
    ),
    `$1${redacted}$3`,
  ],
  [
    new RegExp(
      `(${secretName}(?:\\\\*["'])?[ \\t]*[=:][ \\t]*)(?!\\\\*["']|\\[redacted\\])[^\\s"',;&]+`,
      "gi",
    ),
    `$1${redacted}`,
  ],
];

/** Takes everything out of a text that looks like a secret. Whoever reads a dump needs none of it. */
export function redactText(text: string): string {
  return patterns.reduce((rest, [pattern, replacement]) => rest.replaceAll(pattern, replacement), text);
}

/** Annotations that say how an operator is sharded; others may hold anything, such as whole applied manifests. */
const keptAnnotations = (key: string): boolean =>
  key.includes(group) && key !== annotations.envInject && key !== annotations.envSync;

/** Variables that tell where something is, and never a secret. */
const keptVariables: ReadonlySet<string> = new Set(Object.values(environment));

/**
 * An object without what may be secret: values of variables and arguments, data of Secrets and ConfigMaps other than
 * certificates, foreign annotations, managed fields.
 */
export function redactObject(object: KubernetesObject): KubernetesObject {
  const { metadata = {}, ...rest } = object;
  const { annotations: notes = {}, ...others } = metadata;
  const cleanMetadata = { ...withoutManagedFields(others), annotations: cleanAnnotations(notes) };
  const clean = walk(rest, "");
  return { ...(isRecord(clean) ? clean : {}), metadata: cleanMetadata };
}

function withoutManagedFields(metadata: object): object {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== "managedFields"));
}

function cleanAnnotations<T>(notes: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(notes).filter(([key]) => keptAnnotations(key)));
}

function walk(value: unknown, key: string): unknown {
  if (Array.isArray(value)) {
    if (key === "args" || key === "command") return value.map(argument);
    const hasValues = key === "env" || key === "httpHeaders";
    return value.map((each) => (hasValues ? withoutValue(each) : walk(each, key)));
  }
  if (!isRecord(value)) return value;
  if (key === "data" || key === "stringData" || key === "binaryData") return valuesRedacted(value);
  // Those of templates: what injection and others read from the pods.
  if (key === "annotations") return cleanAnnotations(value);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, walk(each, name)]));
}

function withoutValue(variable: unknown): unknown {
  if (!isRecord(variable) || variable.value === undefined) return walk(variable, "");
  const isKept = typeof variable.name === "string" && keptVariables.has(variable.name);
  return isKept ? variable : { ...variable, value: redacted };
}

/** Certificates are public and often the question; anything else may be a secret. */
function valuesRedacted(data: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => {
      const isCertificates =
        typeof value === "string" &&
        /^(-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\s*)+$/.test(value);
      return [key, isCertificates || key === "resource-config" ? value : redacted];
    }),
  );
}

/**
 * One word of the command line of a program that we don't know: --name tells what was set, its value, in the same word
 * or in the next, may be anything.
 */
function argument(word: unknown, index: number, line: readonly unknown[]): unknown {
  if (typeof word !== "string") return word;
  if (isFlag(word)) return word.replace(/=[\s\S]*$/, `=${redacted}`);
  const before = line[index - 1];
  return typeof before === "string" && isFlag(before) && !before.includes("=") ? redacted : word;
}

function isFlag(word: string): boolean {
  return /^--?[A-Za-z]/.test(word);
}
