import { isLabelKey, isLabelValue } from "#api/label-selector";
import { forbiddenField, invalidValue, required } from "./field-errors.ts";
import { arrayOf, isObject, stringOf } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import type { NameRule, ResourceDefinition } from "./resource.ts";
import type { Cause } from "./status-error.ts";

const labelPattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const subdomainPattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const servicePattern = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/;

const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const serviceRule =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/** Limits of apimachinery's `ValidateObjectMeta`. */
const annotationsLimitBytes = 256 * 1024;

/** What is wrong with the metadata of a new or changed object, besides JSON types. */
export function metadataCauses(definition: ResourceDefinition, { metadata }: KubeObject): Cause[] {
  const causes: Cause[] = [];
  const { name = "", generateName = "", labels = {}, annotations = {} } = metadata;
  if (name === "") causes.push(required("metadata.name", "name or generateName is required"));
  else causes.push(...nameCauses(definition.strategy.nameRule, name));
  if (generateName !== "" && name === "")
    causes.push(...nameCauses(definition.strategy.nameRule, generateName));
  for (const [key, value] of Object.entries(labels)) {
    if (!isLabelKey(key)) causes.push(invalidValue("metadata.labels", key, keyRule(key)));
    if (!isLabelValue(value)) causes.push(invalidValue("metadata.labels", value, valueRule(value)));
  }
  let annotationBytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (!isLabelKey(key.toLowerCase())) causes.push(invalidValue("metadata.annotations", key, keyRule(key)));
    annotationBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (annotationBytes > annotationsLimitBytes)
    causes.push({
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${annotationsLimitBytes} bytes`,
      field: "metadata.annotations",
    });
  causes.push(
    ...finalizerCauses(definition, metadata.finalizers ?? []),
    ...ownerCauses(metadata.ownerReferences),
  );
  return causes;
}

export function nameCauses(rule: NameRule, name: string, field = "metadata.name"): Cause[] {
  const bad = (detail: string): Cause[] => [invalidValue(field, name, detail)];
  if (rule === "path") {
    if (name === "." || name === "..") return bad(`may not be '${name}'`);
    const character = ["/", "%"].find((each) => name.includes(each));
    return character === undefined ? [] : bad(`may not contain '${character}'`);
  }
  const limit = rule === "subdomain" ? 253 : 63;
  if (name.length > limit) return bad(`must be no more than ${limit} bytes`);
  if (rule === "label") return labelPattern.test(name) ? [] : bad(labelRule);
  if (rule === "service") return servicePattern.test(name) ? [] : bad(serviceRule);
  return subdomainPattern.test(name) ? [] : bad(subdomainRule);
}

function keyRule(key: string): string {
  return key === ""
    ? "name part must be non-empty"
    : "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
}

function valueRule(value: string): string {
  return value.length > 63
    ? "must be no more than 63 bytes"
    : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

const standardFinalizers = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

function finalizerCauses({ isCustom }: ResourceDefinition, finalizers: readonly string[]): Cause[] {
  return finalizers.flatMap((finalizer, index): Cause[] => {
    if (!isLabelKey(finalizer)) return [invalidValue("metadata.finalizers", finalizer, keyRule(finalizer))];
    if (isCustom || finalizer.includes("/") || standardFinalizers.has(finalizer)) return [];
    const detail = "name is neither a standard finalizer name nor is it fully qualified";
    return [invalidValue(`metadata.finalizers[${index}]`, finalizer, detail)];
  });
}

function ownerCauses(owners: unknown): Cause[] {
  const causes: Cause[] = [];
  const controllers: string[] = [];
  for (const [index, owner] of arrayOf(owners).entries()) {
    if (!isObject(owner)) continue;
    const path = `metadata.ownerReferences[${index}]`;
    for (const field of ["apiVersion", "kind", "name", "uid"] as const)
      if (stringOf(owner[field]) === "")
        causes.push(invalidValue(`${path}.${field}`, "", "must not be empty"));
    if (owner.controller === true) controllers.push(stringOf(owner.name));
  }
  if (controllers.length > 1)
    causes.push(
      invalidValue(
        "metadata.ownerReferences",
        owners,
        `Only one reference can have Controller set to true. Found "true" in references for ${controllers.join(" and ")}`,
      ),
    );
  return causes;
}

/** What an update may not do to metadata. */
export function metadataUpdateCauses(next: KubeObject, previous: KubeObject): Cause[] {
  if (previous.metadata.deletionTimestamp === undefined) return [];
  const before = previous.metadata.finalizers ?? [];
  const added = (next.metadata.finalizers ?? []).filter((finalizer) => !before.includes(finalizer));
  if (added.length === 0) return [];
  const list = added.map((finalizer) => JSON.stringify(finalizer)).join(", ");
  return [
    forbiddenField(
      "metadata.finalizers",
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
    ),
  ];
}
