import type { Decision, RequestFacts, Rules } from "./apiserver/pipeline.ts";
import type { CompiledSnapshot } from "./snapshot.ts";

type Decide = (request: RequestFacts, rules: Rules) => Decision;

/** Resource names come from clients: beyond it nothing more is noted, and the manager waits the longer. */
const resourceLimit = 1_000;

/**
 * Which limited resources were listed again since the snapshot in force came: the sign by which the manager sees,
 * under `onLoss: Relist`, that the operator's informers have taken up the new view.
 */
export class Relists {
  #snapshot: CompiledSnapshot | undefined;
  readonly #seen = new Map<string, { readonly group: string; readonly resource: string }>();

  /** The same decisions, with lists noted on the way. */
  observing(decide: Decide): Decide {
    return (request, rules) => {
      const decision = decide(request, rules);
      if (decision.kind === "forward" && decision.limited !== undefined) {
        const { group, resource, isWatch } = decision.limited;
        // A watch that begins with the objects is a list too (KEP-3157).
        const isList = isWatch
          ? decision.target.includes("sendInitialEvents=true")
          : decision.info.verb === "list";
        if (isList) this.#note(rules.snapshot, group, resource);
      }
      return decision;
    };
  }

  /** Resources listed under this snapshot, in a fixed order. */
  under(snapshot: CompiledSnapshot | undefined): { readonly group: string; readonly resource: string }[] {
    if (snapshot !== this.#snapshot) return [];
    return [...this.#seen.keys()].sort().map((key) => this.#seen.get(key) ?? { group: "", resource: key });
  }

  #note(snapshot: CompiledSnapshot | undefined, group: string, resource: string): void {
    if (snapshot !== this.#snapshot) {
      this.#snapshot = snapshot;
      this.#seen.clear();
    }
    const key = `${group}/${resource}`;
    if (this.#seen.size < resourceLimit && !this.#seen.has(key)) this.#seen.set(key, { group, resource });
  }
}
