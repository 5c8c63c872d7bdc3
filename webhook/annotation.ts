import { refusal } from "./injection-request.ts";

/** @throws INJECTION_REFUSED */
export function parseAnnotation(text: string, key: string, example: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refusal(
      annotationPath(key),
      `no JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      example,
    );
  }
}

/** @throws INJECTION_REFUSED unless the name is one of an environment variable. */
export function checkVariableName(name: string, key: string, hint: string): void {
  if (/^[A-Za-z_.-][A-Za-z0-9_.-]*$/.test(name)) return;
  throw refusal(annotationPath(key), `"${name}" is no name of an environment variable`, hint);
}

/** Field path of an annotation. */
export function annotationPath(key: string): string {
  return `metadata.annotations[${key}]`;
}
