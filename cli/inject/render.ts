import { stringify } from "yaml";
import { kubernetesYaml } from "../manifests.ts";

/** A document of the result: the text of the input where nothing changed. */
export interface Rendered {
  readonly source: string;
  readonly value: Readonly<Record<string, unknown>>;
  readonly isChanged: boolean;
}

/** @returns one YAML stream; what is unchanged stays letter by letter, comments included */
export function asYaml(documents: readonly Rendered[]): string {
  return documents
    .map(({ source, value, isChanged }) =>
      // Long commands stay on one line, so that they can be copied.
      isChanged
        ? stringify(value, { ...kubernetesYaml, lineWidth: 0, aliasDuplicateObjects: false })
        : `${source}\n`,
    )
    .join("---\n");
}

/** @returns the object, or a List of several as kubectl prints them */
export function asJson(documents: readonly Rendered[]): string {
  const values = documents.map(({ value }) => value);
  const [only] = values;
  const whole = values.length === 1 ? only : { apiVersion: "v1", kind: "List", items: values };
  return `${JSON.stringify(whole, null, 2)}\n`;
}
