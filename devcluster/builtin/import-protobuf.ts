import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Rewrites `protobuf.json`, the field numbers of the messages in `schemas.json`, from Kubernetes' own sources. Run
 * by hand when the Kubernetes version is raised, with the `generated.proto` files of k8s.io/api and
 * k8s.io/apimachinery; the Go types beside them tell which fields are pointers and which are inlined:
 *
 *     node devcluster/builtin/import-protobuf.ts .../core/v1/generated.proto .../meta/v1/generated.proto ...
 *
 * A field is `[number, name, type, flags]`; flags: r repeated, m map from text, p a zero is a value, i its fields
 * are the parent's.
 */
type Field = [number: number, name: string, type: string, flags: string];

const schemaNames = new Set(
  Object.keys(JSON.parse(readFileSync(fileURLToPath(new URL("schemas.json", import.meta.url)), "utf8"))),
);
const messages = new Map<string, Field[]>();

/** "k8s.io.api.core.v1" is "io.k8s.api.core.v1" in OpenAPI. */
const openApiName = (name: string): string => name.replace(/^\.?k8s\.io\./, "io.k8s.");

for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, "utf8").replaceAll(/\/\/.*$/gm, "");
  const [, protoPackage = ""] = /^package (.*);$/m.exec(text) ?? [];
  const goFields = readGoFields(dirname(file));
  for (const [, name = "", body = ""] of text.matchAll(/^message (\w+) \{\n([\s\S]*?)^\}/gm)) {
    const fields: Field[] = [];
    for (const [, label = "", mapType, plainType, field = "", number] of body.matchAll(
      /^\s*(optional |repeated |)(?:map<string, ([.\w]+)>|([.\w]+)) (\w+) = (\d+);/gm,
    )) {
      const raw = mapType ?? plainType ?? "";
      const scalar = /^(?:string|bytes|bool|u?int(?:32|64)|double)$/.test(raw);
      const type = scalar ? raw : openApiName(raw.includes(".") ? raw : `${protoPackage}.${raw}`);
      const go = goFields.get(`${name}.${number}`) ?? "";
      fields.push([
        Number(number),
        field,
        type,
        `${label.startsWith("rep") ? "r" : ""}${mapType ? "m" : ""}${go}`,
      ]);
    }
    messages.set(openApiName(`${protoPackage}.${name}`), fields);
  }
}

function readGoFields(folder: string): Map<string, string> {
  const result = new Map<string, string>();
  let text: string;
  try {
    text = readFileSync(join(folder, "types.go"), "utf8");
  } catch {
    return result;
  }
  for (const [, name = "", body = ""] of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) {
    for (const [, type = "", json = "", number] of body.matchAll(
      /^\s+(?:\w+\s+)?([*[\]\w.]+)\s+`json:"([^"]*)" protobuf:"\w+,(\d+),[^`]*`/gm,
    ))
      result.set(
        `${name}.${number}`,
        `${type.startsWith("*") ? "p" : ""}${json.includes("inline") ? "i" : ""}`,
      );
  }
  return result;
}

const selected = new Map<string, Field[]>();
const visit = (name: string): void => {
  const fields = messages.get(name);
  if (fields === undefined || selected.has(name)) return;
  selected.set(name, fields);
  for (const [, , type] of fields) visit(type);
};
for (const name of messages.keys()) if (schemaNames.has(name)) visit(name);
const lines = [...selected]
  .sort(([left], [right]) => (left < right ? -1 : 1))
  .map(([name, fields]) => `${JSON.stringify(name)}: ${JSON.stringify(fields)}`);
writeFileSync(fileURLToPath(new URL("protobuf.json", import.meta.url)), `{\n${lines.join(",\n")}\n}\n`);
