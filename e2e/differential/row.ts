import type { HttpAnswer, HttpRequest } from "./client.ts";
import type { Mask } from "./masks.ts";

/** One request of a row. */
export interface Step extends HttpRequest {
  /** A list, watch or deletecollection that the proxy limits: sent directly, it carries the shard's selector. */
  readonly limited?: boolean;
  /** Sent directly in place of `target`, where the proxy changes more than the selector: see the row. */
  readonly directTarget?: string;
}

/** What rows speak of: see `stage.ts`. */
export interface Scene {
  /** Namespace of this run alone, for rows that write. */
  readonly twin: string;
  /** resourceVersion in front of a history of changes, behind the floor of this view. */
  readonly historyStart: string;
  /** Bearer token of a service account that may do nothing. */
  readonly powerlessToken: string;
}

/** Requests one after the other; each may be made from the answers before it. */
export type Steps = (scene: Scene) => Generator<Step, void, HttpAnswer>;

export interface Row {
  readonly name: string;
  readonly steps: Steps;
  readonly masks: readonly Mask[];
  /** Of each step's answer, so that a row can't turn into a comparison of two equal errors. */
  readonly statuses: readonly number[];
}

/** A row of requests that do not depend on answers. */
export function row(
  name: string,
  steps: readonly Step[] | ((scene: Scene) => readonly Step[]),
  expected: { readonly status: number | readonly number[]; readonly masks?: readonly Mask[] },
): Row {
  const made = typeof steps === "function" ? steps : () => steps;
  return rowOf(name, (scene) => inOrder(made(scene)), expected);
}

/** A row whose later requests are made from earlier answers. */
export function rowOf(
  name: string,
  steps: Steps,
  expected: { readonly status: number | readonly number[]; readonly masks?: readonly Mask[] },
): Row {
  const { status, masks = [] } = expected;
  return { name, steps, masks, statuses: typeof status === "number" ? [status] : status };
}

function* inOrder(steps: readonly Step[]): Generator<Step, void, HttpAnswer> {
  for (const step of steps) yield step;
}

/** A member of an answer's JSON body by path; undefined when it is not there. */
export function member(answer: HttpAnswer, ...path: readonly string[]): unknown {
  let value: unknown = JSON.parse(answer.body.toString());
  for (const name of path) value = isRecord(value) ? value[name] : undefined;
  return value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
