import { type Static, type TSchema, Type } from "typebox";
import { Value } from "typebox/value";
import { CtrlmeshError } from "#api/errors";

/**
 * The parts of a pod that injection reads or writes (core/v1). Everything else in the pod stays as it is:
 * the schemas are open, and values are spread, never rebuilt.
 */

const open = Type.Object;
const optional = Type.Optional;
const stringMap = Type.Record(Type.String(), Type.String());

const envVarSchema = open({
  name: Type.String({ minLength: 1 }),
  value: optional(Type.String()),
  valueFrom: optional(Type.Unknown()),
});

const volumeMountSchema = open({
  name: Type.String(),
  mountPath: Type.String(),
  readOnly: optional(Type.Boolean()),
  subPath: optional(Type.String()),
});

const containerPortSchema = open({
  name: optional(Type.String()),
  containerPort: Type.Number(),
  protocol: optional(Type.String()),
});

const securityContextSchema = open({
  runAsUser: optional(Type.Number()),
  runAsGroup: optional(Type.Number()),
  runAsNonRoot: optional(Type.Boolean()),
  privileged: optional(Type.Boolean()),
  allowPrivilegeEscalation: optional(Type.Boolean()),
  readOnlyRootFilesystem: optional(Type.Boolean()),
  capabilities: optional(Type.Unknown()),
  seccompProfile: optional(Type.Unknown()),
});

const containerSchema = open({
  name: Type.String({ minLength: 1 }),
  image: optional(Type.String()),
  command: optional(Type.Array(Type.String())),
  args: optional(Type.Array(Type.String())),
  env: optional(Type.Array(envVarSchema)),
  volumeMounts: optional(Type.Array(volumeMountSchema)),
  restartPolicy: optional(Type.String()),
  imagePullPolicy: optional(Type.String()),
  ports: optional(Type.Array(containerPortSchema)),
  resources: optional(Type.Unknown()),
  startupProbe: optional(Type.Unknown()),
  readinessProbe: optional(Type.Unknown()),
  lifecycle: optional(Type.Unknown()),
  securityContext: optional(securityContextSchema),
  terminationMessagePolicy: optional(Type.String()),
});

const keyToPathSchema = open({ key: Type.String(), path: Type.String() });

const projectionSchema = open({
  configMap: optional(open({ name: optional(Type.String()), items: optional(Type.Array(keyToPathSchema)) })),
  secret: optional(open({ name: optional(Type.String()), items: optional(Type.Array(keyToPathSchema)) })),
  serviceAccountToken: optional(open({ path: Type.String() })),
  downwardAPI: optional(Type.Unknown()),
});

const volumeSchema = open({
  name: Type.String({ minLength: 1 }),
  projected: optional(open({ sources: optional(Type.Union([Type.Array(projectionSchema), Type.Null()])) })),
  secret: optional(
    open({ secretName: optional(Type.String()), items: optional(Type.Array(keyToPathSchema)) }),
  ),
  configMap: optional(open({ name: optional(Type.String()) })),
  emptyDir: optional(Type.Unknown()),
});

const hostAliasSchema = open({ ip: Type.String(), hostnames: optional(Type.Array(Type.String())) });

const podSecuritySchema = open({
  runAsUser: optional(Type.Number()),
  sysctls: optional(Type.Array(open({ name: Type.String(), value: Type.String() }))),
});

const podSchema = open({
  metadata: open({
    name: optional(Type.String()),
    generateName: optional(Type.String()),
    namespace: optional(Type.String()),
    labels: optional(stringMap),
    annotations: optional(stringMap),
  }),
  spec: open({
    containers: Type.Array(containerSchema, { minItems: 1 }),
    initContainers: optional(Type.Array(containerSchema)),
    volumes: optional(Type.Array(volumeSchema)),
    hostNetwork: optional(Type.Boolean()),
    restartPolicy: optional(Type.String()),
    automountServiceAccountToken: optional(Type.Boolean()),
    hostAliases: optional(Type.Array(hostAliasSchema)),
    securityContext: optional(podSecuritySchema),
  }),
});

export type Pod = Static<typeof podSchema>;
export type Container = Static<typeof containerSchema>;
export type EnvVar = Static<typeof envVarSchema>;
export type VolumeMount = Static<typeof volumeMountSchema>;
export type Volume = Static<typeof volumeSchema>;
export type Projection = Static<typeof projectionSchema>;

/**
 * Narrows the object of an admission request.
 *
 * @throws ADMISSION_REVIEW_INVALID with the path of the first field that is wrong
 */
export function parsePod(object: unknown): Pod {
  return parseWith(podSchema, object, "request.object");
}

/**
 * Checks a value against an open schema.
 *
 * @throws ADMISSION_REVIEW_INVALID with the path of the first field that is wrong
 */
export function parseWith<T extends TSchema>(schema: T, value: unknown, where: string): Static<T> {
  if (Value.Check(schema, value)) return value;
  const [first] = Value.Errors(schema, value);
  const path = (first?.instancePath ?? "").replaceAll(/\/(\d+)/g, "[$1]").replaceAll("/", ".");
  throw new CtrlmeshError("ADMISSION_REVIEW_INVALID", {
    what: first?.message ?? "has the wrong shape",
    where: `${where}${path}`,
  });
}
