import { Type } from "typebox";
import { Value } from "typebox/value";
import { annotations, environment } from "#api/names";
import { annotationPath, checkVariableName, parseAnnotation } from "./annotation.ts";
import { refusal } from "./injection-request.ts";
import { byName, withEntries } from "./keyed-list.ts";
import type { Container, EnvVar, Pod } from "./pod.ts";

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
  const value = parseAnnotation(text, key, envInjectExample);
  if (!Value.Check(envInjectSchema, value)) {
    const [first] = Value.Errors(envInjectSchema, value);
    throw refusal(
      annotationPath(key),
      `${first?.instancePath ?? ""} ${first?.message ?? "is wrong"}`.trim(),
      envInjectExample,
    );
  }
  for (const { name, env } of value) {
    if (!appContainers.some((container) => container.name === name)) {
      const names = appContainers.map((container) => container.name).join(", ");
      throw refusal(annotationPath(key), `the pod has no container "${name}"`, `it has ${names}`);
    }
    const variables = env.map((variable) => ({ name: variable.key, value: variable.value }));
    for (const variable of variables) {
      checkVariableName(variable.name, key, envInjectExample);
      if (variable.name.startsWith("KUBERNETES_SERVICE_") || variable.name === environment.kubeconfig) {
        throw refusal(
          annotationPath(key),
          `${variable.name} is set by injection`,
          "take it out of the annotation",
        );
      }
    }
    wanted.set(name, withEntries(wanted.get(name), variables, byName));
  }
  return wanted;
}
