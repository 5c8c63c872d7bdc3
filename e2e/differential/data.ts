import type { Posted } from "./stage.ts";

const teams = ["a", "b"] as const;
/**
 * Enough for pages, for gzip, which the API server begins at 128 KiB, and for resource versions of four digits: in
 * protobuf the length of what is masked would show.
 */
const bulkCount = 400;
const bulkValue = "some text of no meaning ".repeat(25);

/** Kind of the custom resources, with both subresources. */
export const customKind = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.differential.test" },
  spec: {
    group: "differential.test",
    scope: "Namespaced",
    names: { kind: "Widget", plural: "widgets", singular: "widget" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: { type: "object", properties: { replicas: { type: "integer" } } },
              status: { type: "object", properties: { replicas: { type: "integer" } } },
            },
          },
        },
        subresources: {
          status: {},
          scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" },
        },
      },
    ],
  },
};

/** Two teams with the same objects each. */
export function bulkData(): readonly (readonly Posted[])[] {
  const namespaces = teams.map((team): Posted => namespace(`team-${team}`, team));
  const objects = teams.flatMap((team) => {
    const path = `/api/v1/namespaces/team-${team}`;
    const labels = { team };
    const configMaps = Array.from({ length: bulkCount }, (_, index): Posted => {
      const name = `bulk-${String(index).padStart(3, "0")}`;
      const kind = index % 2 === 0 ? "even" : "odd";
      return [
        `${path}/configmaps`,
        { metadata: { name, labels: { team, kind } }, data: { text: bulkValue } },
      ];
    });
    const others = Array.from({ length: 6 }, (_, index): Posted[] => [
      [`${path}/secrets`, { metadata: { name: `secret-${index}`, labels }, stringData: { key: "value" } }],
      [`/apis/differential.test/v1/namespaces/team-${team}/widgets`, widget(`widget-${index}`, labels)],
    ]);
    return [...configMaps, ...others.flat()];
  });
  return [namespaces, objects];
}

/** A namespace of the shard for one run of the rows that write. */
export function twinData(name: string): readonly (readonly Posted[])[] {
  const path = `/api/v1/namespaces/${name}`;
  const map = (of: string, labels: object): Posted => [
    `${path}/configmaps`,
    { metadata: { name: of, labels } },
  ];
  return [
    [namespace(name, "a")],
    [
      map("stays", { team: "b", kind: "gone" }),
      map("goes", { team: "a" }),
      map("goes-by-selector", { team: "a", kind: "gone" }),
      [`/apis/apps/v1/namespaces/${name}/deployments`, deployment],
    ],
  ];
}

function namespace(name: string, team: string): Posted {
  return ["/api/v1/namespaces", { metadata: { name, labels: { team } } }];
}

function widget(name: string, labels: object): object {
  return {
    apiVersion: "differential.test/v1",
    kind: "Widget",
    metadata: { name, labels },
    spec: { replicas: 1 },
  };
}

const deployment = {
  metadata: { name: "app", labels: { team: "a" } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "app" } },
    template: {
      metadata: { labels: { app: "app" } },
      spec: { containers: [{ name: "app", image: "none.test/none" }] },
    },
  },
};
