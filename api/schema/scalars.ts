import { invalidField, type Schema, shown, wrongType } from "./schema.ts";

export interface TextBounds {
  /** Characters. Every text has an upper bound: CEL costs and object sizes depend on it. */
  readonly maxLength: number;
  readonly minLength?: number;
  /** Anchored, in the common subset of RE2 (API server) and JavaScript. */
  readonly pattern?: RegExp;
  /** What the pattern asks for, in words. */
  readonly patternHint?: string;
}

/** A string. */
export function text(description: string, bounds: TextBounds): Schema<string> {
  const { minLength = 0, maxLength, pattern, patternHint = description } = bounds;
  return {
    structural: {
      type: "string",
      description,
      ...(minLength > 0 ? { minLength } : {}),
      maxLength,
      ...(pattern === undefined ? {} : { pattern: pattern.source }),
    },
    read(value, where) {
      if (typeof value !== "string") throw wrongType(where, "a string", value, description);
      const length = characters(value, maxLength);
      if (length < minLength)
        throw invalidField(where, minLength === 1 ? "must not be empty" : `is too short`, description);
      if (length > maxLength)
        throw invalidField(where, `is longer than ${maxLength} characters`, description);
      if (pattern !== undefined && !pattern.test(value))
        throw invalidField(where, `${shown(value)} is not allowed`, patternHint);
      return value;
    },
  };
}

/** Characters as the API server counts them (code points); counted one by one only where it matters. */
function characters(value: string, limit: number): number {
  return value.length > limit ? [...value].length : value.length;
}

/** One of a fixed set of words. */
export function oneOf<const W extends readonly [string, ...string[]]>(
  description: string,
  words: W,
): Schema<W[number]> {
  return {
    structural: { type: "string", description, enum: words },
    read(value, where) {
      if (typeof value !== "string") throw wrongType(where, "a string", value, `use ${wordList(words)}`);
      const word = words.find((candidate) => candidate === value);
      if (word === undefined)
        throw invalidField(where, `${shown(value)} is unknown`, `use ${wordList(words)}`);
      return word;
    },
  };
}

function wordList(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

export interface IntegerBounds {
  readonly minimum: number;
  readonly maximum: number;
}

/** Largest count that JSON numbers carry without loss in every client. */
export const largestCount = Number.MAX_SAFE_INTEGER;

/** A whole number; int32 where the bounds allow it, else int64. */
export function integer(description: string, { minimum, maximum }: IntegerBounds): Schema<number> {
  const format = maximum > 2 ** 31 - 1 ? "int64" : "int32";
  return {
    structural: { type: "integer", format, description, minimum, maximum },
    read(value, where) {
      if (typeof value !== "number" || !Number.isSafeInteger(value))
        throw wrongType(where, "a whole number", value, description);
      if (value < minimum || value > maximum)
        throw invalidField(where, `${value} is out of range`, `use ${minimum} to ${maximum}`);
      return value;
    },
  };
}

/** true or false. */
export function flag(description: string): Schema<boolean> {
  return {
    structural: { type: "boolean", description },
    read(value, where) {
      if (typeof value !== "boolean") throw wrongType(where, "true or false", value, description);
      return value;
    },
  };
}

const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

/** A time as text (RFC 3339). */
export function dateTime(description: string): Schema<string> {
  return {
    structural: { type: "string", format: "date-time", description },
    read(value, where) {
      if (typeof value !== "string") throw wrongType(where, "a string", value, description);
      if (!rfc3339.test(value) || Number.isNaN(Date.parse(value)))
        throw invalidField(where, `${shown(value)} is no time`, "write it as 2024-01-31T12:00:00Z");
      return value;
    },
  };
}
