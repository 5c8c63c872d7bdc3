import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { managerRights } from "./manager-rights.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly Rule[];
}

/** Roles of the manager itself in a file; lines with template actions are left out, which are no rules of these. */
function managerRoles(path: string): Role[] {
  const text = readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8");
  const plain = text.split("\n").filter((line) => !line.includes("{{") && line.trim() !== "[]");
  return parseAllDocuments(plain.join("\n"))
    .map((document) => document.toJS() as Role)
    .filter(({ kind, metadata }) => /Role$/.test(kind) && metadata.name === "ctrlmesh-manager");
}

function scopeOf({ kind, metadata }: Role): string {
  if (kind === "ClusterRole") return "cluster";
  return metadata.namespace === "default" ? "default" : "own namespace";
}

const line = (scope: string, group: string, resource: string, name: string, verb: string): string =>
  `${scope}: ${verb} ${resource}.${group} ${name}`;

const grantedBy = (roles: readonly Role[]): string[] =>
  roles.flatMap((role) =>
    (role.rules ?? []).flatMap(({ apiGroups, resources, resourceNames = ["*"], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) =>
            verbs.map((verb) => line(scopeOf(role), group, resource, name, verb)),
          ),
        ),
      ),
    ),
  );

const needed = managerRights.flatMap(({ scope, group, resources, names = ["*"], verbs }) =>
  resources.flatMap((resource) =>
    names.flatMap((name) => verbs.map((verb) => ({ scope, group, resource, name, verb }))),
  ),
);

test("manager rights: they are what the chart grants, no more and no less", () => {
  const lines = needed.map(({ scope, group, resource, name, verb }) =>
    line(scope, group, resource, name, verb),
  );
  const granted = grantedBy(managerRoles("charts/ctrlmesh/templates/rbac.yaml"));
  assert.ok(granted.length > 40);
  assert.deepEqual([...new Set(lines)].sort(), [...new Set(granted)].sort());
});

test("manager rights: the install files grant all of them", () => {
  const granted = new Set(grantedBy(managerRoles("examples/install/manager-rbac.yaml")));
  const missing = needed.filter(
    ({ scope, group, resource, name, verb }) =>
      !granted.has(line(scope, group, resource, name, verb)) &&
      !granted.has(line(scope, group, resource, "*", verb)) &&
      // A right in the whole cluster is one in each namespace.
      !granted.has(line("cluster", group, resource, "*", verb)) &&
      !granted.has(line("cluster", group, resource, name, verb)),
  );
  assert.deepEqual(missing, []);
});
