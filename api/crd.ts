import type { KubernetesObject } from "./meta.ts";
import type { KindDefinition } from "./schema/kind.ts";

/** The CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind: one version, served and stored. */
export function customResourceDefinition(definition: KindDefinition): KubernetesObject {
  const { group, version, kind, plural, singular, shortNames, scope, columns } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        ...(shortNames.length === 0 ? {} : { shortNames }),
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          ...(definition.statusSubresource ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: columns.map(({ name, type, jsonPath, description, wide }) => ({
            name,
            type,
            jsonPath,
            description,
            ...(wide ? { priority: 1 } : {}),
          })),
          schema: { openAPIV3Schema: definition.structural },
        },
      ],
    },
  };
}
