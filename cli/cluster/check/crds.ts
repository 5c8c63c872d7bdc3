import { isDeepStrictEqual } from "node:util";
import { customResourceDefinition } from "#api/crd";
import { kindDefinitions } from "#api/kinds";
import type { KubernetesObject } from "#api/meta";
import { group } from "#api/names";
import { isRecord } from "#kube/client/api-error";
import type { ResourceKind } from "#kube/client/client";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";
import { memberOf, readIfThere, recordsOf } from "./read.ts";

const crdKind: ResourceKind = {
  group: "apiextensions.k8s.io",
  version: "v1",
  resource: "customresourcedefinitions",
  namespaced: false,
};

/** Kinds without which sharding works: those of the mesh between clusters. */
const isNeeded = (name: string): boolean => name.endsWith(`.${group}`);

/** Our kinds: there, established, and of this version. */
export const crdCheck: Check = {
  name: "crds",
  phases: ["after"],
  run: async ({ client, signal }) => {
    const findings = await Promise.all(
      kindDefinitions.map(async (definition) => {
        const wanted = customResourceDefinition(definition);
        const name = wanted.metadata?.name ?? "";
        const present = await readIfThere(client, crdKind, { name }, { signal });
        return judgeCrd(name, wanted, present);
      }),
    );
    return { summary: `${kindDefinitions.length} kinds`, findings: findings.flat() };
  },
};

/** Holds a stored CustomResourceDefinition to the one of this version. */
export function judgeCrd(
  name: string,
  wanted: KubernetesObject,
  present: KubernetesObject | undefined,
): Finding[] {
  const where = `CustomResourceDefinition ${name}`;
  const level = isNeeded(name) ? "error" : "warning";
  const remedy = "kubectl apply --server-side -f crds/";
  if (present === undefined) {
    return [{ level, code: "CrdMissing", where, what: "it is not installed", remedy }];
  }
  const established = recordsOf(memberOf(present.status, "conditions")).find(
    ({ type }) => type === "Established",
  );
  if (established?.status !== "True") {
    const message = typeof established?.message === "string" ? `: ${established.message}` : "";
    return [
      {
        level,
        code: "CrdMissing",
        where,
        what: `it is not established${message}`,
        remedy: `kubectl describe crd ${name}`,
      },
    ];
  }
  const difference = firstDifference(schemaOf(wanted), schemaOf(present), "");
  if (difference === undefined) return [];
  return [
    {
      level,
      code: "CrdOutdated",
      where,
      what: `it is of another version than this program: schema${difference} differs`,
      remedy,
    },
  ];
}

function schemaOf(crd: KubernetesObject): unknown {
  const versions = recordsOf(memberOf(crd.spec, "versions"));
  const served = versions.find(({ name }) => name === "v1alpha1" || name === "v1");
  return memberOf(served, "schema", "openAPIV3Schema");
}

/**
 * Path of the first member that differs, such as ".properties.spec"; undefined for none. The API server leaves empty
 * members out of what it stores.
 */
function firstDifference(wanted: unknown, present: unknown, path: string): string | undefined {
  if (isDeepStrictEqual(wanted, present) || (isEmpty(wanted) && isEmpty(present))) return undefined;
  if (!isRecord(wanted) || !isRecord(present)) return path;
  for (const key of new Set([...Object.keys(wanted), ...Object.keys(present)])) {
    const difference = firstDifference(wanted[key], present[key], `${path}.${key}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (isRecord(value) && Object.keys(value).length === 0);
}
