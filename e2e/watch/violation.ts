import type { Resource } from "./view.ts";

/** A client was told something that a direct, filtered view of the truth does not say. */
export class Violation extends Error {
  readonly reflector: string;
  readonly resource: Resource;
  /** Objects whose history explains it. */
  readonly paths: readonly string[];

  constructor(reflector: string, resource: Resource, what: string, paths: readonly string[] = []) {
    super(`${reflector}: ${what}`);
    this.name = "Violation";
    this.reflector = reflector;
    this.resource = resource;
    this.paths = paths;
  }
}
