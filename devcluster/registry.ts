import type { ResourceDefinition } from "./resource.ts";

/** Every resource that is served now. Custom ones come and go with their CustomResourceDefinition. */
export class Registry {
  readonly #definitions = new Map<string, ResourceDefinition>();
  /** Changes with every change of the content, for discovery's ETags. */
  generation = 0;

  add(definition: ResourceDefinition): void {
    this.#definitions.set(keyFor(definition), definition);
    this.generation++;
  }

  remove(group: string, resource: string): void {
    for (const [key, definition] of this.#definitions) {
      if (definition.group === group && definition.resource === resource) this.#definitions.delete(key);
    }
    this.generation++;
  }

  find(group: string, version: string, resource: string): ResourceDefinition | undefined {
    return this.#definitions.get(keyFor({ group, version, resource }));
  }

  hasVersion(group: string, version: string): boolean {
    return this.all().some((each) => each.group === group && each.version === version);
  }

  /** One definition per collection: the first that was added. */
  byCollection(): Map<string, ResourceDefinition> {
    const result = new Map<string, ResourceDefinition>();
    for (const each of this.#definitions.values())
      if (!result.has(each.collection)) result.set(each.collection, each);
    return result;
  }

  all(): ResourceDefinition[] {
    return [...this.#definitions.values()];
  }
}

function keyFor({ group, version, resource }: { group: string; version: string; resource: string }): string {
  return `${group}/${version}/${resource}`;
}
