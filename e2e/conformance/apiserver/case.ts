import assert from "node:assert/strict";
import type { Answer, Api, CallOptions, Json } from "./client.ts";

/** One statement about a Kubernetes API server, checked on every target. */
export interface ConformanceCase {
  /** Unique, stable: area and what it is about. */
  readonly id: string;
  /** Why the embedded API server need not do it. Read in review: nothing that our parts rely on stands here. */
  readonly realOnly?: string;
  /** Changes what others see: it runs when no other case does. */
  readonly alone?: true;
  run(api: Api): Promise<void>;
}

/** The case runs alone. */
export function alone(each: ConformanceCase): ConformanceCase {
  return { ...each, alone: true };
}

export function conforms(id: string, run: (api: Api) => Promise<void>, realOnly?: string): ConformanceCase {
  return realOnly === undefined ? { id, run } : { id, run, realOnly };
}

/** One request and what its answer has to be. What is not stated is not compared. */
export interface Row {
  readonly id: string;
  /** Method and path with query; `get` alone by default. */
  readonly ask: readonly [method: string, path: string];
  readonly options?: CallOptions;
  readonly status: number;
  /** Of the Status body; "" for a Status without a reason. */
  readonly reason?: string;
  readonly message?: string | RegExp;
  /** `field` of each of details.causes. */
  readonly fields?: readonly string[];
  /** Header by name; null: absent. */
  readonly headers?: Readonly<Record<string, string | RegExp | null>>;
  /** Parts of the body, as assert.partialDeepStrictEqual compares them. */
  readonly body?: Json;
  readonly text?: string | RegExp;
  readonly realOnly?: string;
}

export function rows(table: readonly Row[]): ConformanceCase[] {
  return table.map((row) =>
    conforms(
      row.id,
      async (api) => {
        const [method, path] = row.ask;
        isAnswer(await api.call(method, path, row.options), row);
      },
      row.realOnly,
    ),
  );
}

type Expected = Omit<Row, "id" | "ask" | "options" | "realOnly">;

/** Compares an answer with what is stated about it. */
export function isAnswer(answer: Answer, expected: Expected): void {
  assert.equal(answer.status, expected.status, answer.text.slice(0, 500));
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const given = answer.headers[name];
    if (value === null) assert.equal(given, undefined, name);
    else isText(String(given ?? ""), value);
  }
  if (expected.text !== undefined) isText(answer.text, expected.text);
  if (expected.body !== undefined) assert.partialDeepStrictEqual(answer.body, expected.body);
  if (expected.reason !== undefined) isStatus(answer.body, expected);
}

/** A metav1.Status that tells of a failure. */
export function isStatus(body: Json, { status, reason, message, fields }: Expected): void {
  assert.partialDeepStrictEqual(body, { kind: "Status", apiVersion: "v1", status: "Failure", code: status });
  assert.equal(body.reason ?? "", reason);
  if (message !== undefined) isText(String(body.message), message);
  if (fields === undefined) return;
  const causes = ((body.details as Json | undefined)?.causes ?? []) as Json[];
  assert.deepEqual(
    causes.map(({ field }) => field),
    fields,
  );
}

function isText(given: string, wanted: string | RegExp): void {
  if (typeof wanted === "string") assert.equal(given, wanted);
  else assert.match(given, wanted);
}

export function metadataOf(object: Json): Json {
  return object.metadata as Json;
}

export function versionOf(object: Json): string {
  return String(metadataOf(object).resourceVersion);
}

export function nameOf(object: Json): string {
  return String(metadataOf(object).name);
}

/** The names of a list's items, in its order. */
export function namesOf(answer: Answer): string[] {
  assert.equal(answer.status, 200, answer.text.slice(0, 500));
  return (answer.body.items as Json[]).map(nameOf);
}
