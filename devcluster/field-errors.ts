import type { Cause } from "./status-error.ts";

/** Findings about one field, worded as apimachinery's field package does. */

export function required(field: string, detail = ""): Cause {
  return {
    reason: "FieldValueRequired",
    message: detail === "" ? "Required value" : `Required value: ${detail}`,
    field,
  };
}

export function invalidValue(field: string, value: unknown, detail: string): Cause {
  return {
    reason: "FieldValueInvalid",
    message: `Invalid value: ${printValue(value)}: ${detail}`,
    field,
  };
}

/** A value of the wrong JSON type. */
export function typeInvalid(field: string, value: unknown, detail: string): Cause {
  return {
    reason: "FieldValueTypeInvalid",
    message: `Invalid value: ${printValue(value)}: ${detail}`,
    field,
  };
}

export function notSupported(field: string, value: unknown, allowed: readonly unknown[]): Cause {
  const list = allowed.map((one) => JSON.stringify(one)).join(", ");
  return {
    reason: "FieldValueNotSupported",
    message: `Unsupported value: ${printValue(value)}: supported values: ${list}`,
    field,
  };
}

export function duplicate(field: string, value: unknown): Cause {
  return { reason: "FieldValueDuplicate", message: `Duplicate value: ${printValue(value)}`, field };
}

export function forbiddenField(field: string, detail: string): Cause {
  return { reason: "FieldValueForbidden", message: `Forbidden: ${detail}`, field };
}

export function tooMany(field: string, actual: number, limit: number): Cause {
  return {
    reason: "FieldValueTooMany",
    message: `Too many: ${actual}: must have at most ${limit} items`,
    field,
  };
}

export function tooLong(field: string, limit: number): Cause {
  return {
    reason: "FieldValueTooLong",
    message: `Too long: may not be more than ${limit} bytes`,
    field,
  };
}

/** Texts are quoted, everything else is JSON. */
function printValue(value: unknown): string {
  return value === undefined ? "null" : JSON.stringify(value);
}
