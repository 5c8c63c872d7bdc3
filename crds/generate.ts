import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { customResourceDefinition } from "#api/crd";
import { kindDefinitions } from "#api/kinds";

const header = "# Generated from api/ by crds/generate.ts. Do not edit: run `npm run generate`.\n";

/** File name to content of every CRD, in the order of the kinds. */
export function crdFiles(): ReadonlyMap<string, string> {
  return new Map(
    kindDefinitions.map((definition) => [
      `${definition.group}_${definition.plural}.yaml`,
      header +
        stringify(customResourceDefinition(definition), { lineWidth: 110, aliasDuplicateObjects: false }),
    ]),
  );
}

/** Makes a folder hold exactly the generated files, apart from files that are not YAML. */
export function writeCrds(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (name.endsWith(".yaml")) rmSync(join(folder, name));
  for (const [name, content] of crdFiles()) writeFileSync(join(folder, name), content);
}

if (import.meta.main) writeCrds(fileURLToPath(new URL(".", import.meta.url)));
