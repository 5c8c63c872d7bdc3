import type { Clock } from "#runtime/clock";
import { definitionsOf } from "../custom-resources.ts";
import { arrayOf, at, isEqual, objectOf, stringOf } from "../json.ts";
import { type KubeObject, timestamp } from "../kube-object.ts";
import type { Registry } from "../registry.ts";
import type { Change, Storage } from "../storage.ts";

const collection = "apiextensions.k8s.io/customresourcedefinitions";

/**
 * Serves what CustomResourceDefinitions define: sets their conditions NamesAccepted and Established in the turn of
 * their creation, keeps the registry in step, and deletes the objects of a definition that goes.
 */
export function startDefinitionController(storage: Storage, registry: Registry, clock: Clock): Disposable {
  const settle = (key: string): void => {
    const stored = storage.get(collection, key);
    if (stored === undefined) return;
    const status = statusOf(stored.object, registry, clock.now());
    if (isEqual(status, stored.object.status)) return;
    storage.update(collection, key, { ...stored.object, status }, stored.revision);
  };
  return storage.onChange(({ collection: changed, key, previous, current }: Change) => {
    if (changed !== collection) return;
    if (current === undefined) {
      if (previous !== undefined) withdraw(storage, registry, previous.object);
      return;
    }
    if (isEqual(previous?.object.spec, current.object.spec)) return;
    if (hasConflict(current.object, registry) === undefined) serve(registry, current.object);
    // After the write's turn, so that watchers see the two writes in order.
    setImmediate(() => settle(key));
  });
}

function serve(registry: Registry, crd: KubeObject): void {
  const group = stringOf(at(crd.spec, "group"));
  registry.remove(group, stringOf(at(crd.spec, "names", "plural")));
  for (const definition of definitionsOf(crd)) registry.add(definition);
}

function withdraw(storage: Storage, registry: Registry, crd: KubeObject): void {
  const group = stringOf(at(crd.spec, "group"));
  const plural = stringOf(at(crd.spec, "names", "plural"));
  registry.remove(group, plural);
  for (const { key, revision } of storage.list(`${group}/${plural}`, ""))
    storage.delete(`${group}/${plural}`, key, revision);
}

/** Two definitions of one group cannot share a kind. */
function hasConflict(crd: KubeObject, registry: Registry): string | undefined {
  const { group, names } = objectOf(crd.spec);
  const { plural, kind } = objectOf(names);
  const taken = registry
    .all()
    .find((each) => each.group === group && each.resource !== plural && each.kind === kind);
  return taken === undefined ? undefined : `${JSON.stringify(kind)} is already in use`;
}

function statusOf(crd: KubeObject, registry: Registry, nowMs: number): KubeObject["status"] {
  const conflict = hasConflict(crd, registry);
  const accepted = conflict === undefined;
  const stored = arrayOf(at(crd.spec, "versions"))
    .filter((version) => at(version, "storage") === true)
    .map((version) => stringOf(at(version, "name")));
  const before = arrayOf(at(crd.status, "storedVersions"));
  const condition = (type: string, status: boolean, reason: string, message: string) => ({
    type,
    status: status ? "True" : "False",
    lastTransitionTime: timestamp(nowMs),
    reason,
    message,
  });
  const conditions = arrayOf(at(crd.status, "conditions"));
  const next = accepted
    ? [
        condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
        condition("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
      ]
    : [
        condition("NamesAccepted", false, "KindConflict", conflict),
        condition("Established", false, "NotAccepted", "not all names are accepted"),
      ];
  const sameStatus = next.every((each) =>
    conditions.some((one) => at(one, "type") === each.type && at(one, "status") === each.status),
  );
  return {
    conditions: sameStatus ? conditions : next,
    acceptedNames: accepted ? at(crd.spec, "names") : { plural: "", kind: "" },
    storedVersions: [...new Set([...before, ...stored])],
  };
}
