import { Type } from "typebox";
import { Value } from "typebox/value";
import type { Resources } from "./injection-request.ts";

const quantity = Type.Union([
  Type.String({
    pattern: "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
  }),
  Type.Number(),
]);
const quantities = Type.Record(Type.String(), quantity);
const schema = Type.Object(
  { requests: Type.Optional(quantities), limits: Type.Optional(quantities) },
  { additionalProperties: false },
);

export const resourcesExample =
  'write JSON such as {"requests":{"cpu":"50m","memory":"100Mi"},"limits":{"memory":"256Mi"}}';

/** Requests and limits of a container, as settings and annotations give them; a number becomes a text. */
export function parseResources(
  value: unknown,
): { readonly resources: Resources } | { readonly problem: string } {
  if (!Value.Check(schema, value)) {
    const [first] = Value.Errors(schema, value);
    return { problem: `${first?.instancePath ?? ""} ${first?.message ?? "is wrong"}`.trim() };
  }
  const { requests, limits } = value;
  return {
    resources: {
      ...(requests === undefined ? {} : { requests: asText(requests) }),
      ...(limits === undefined ? {} : { limits: asText(limits) }),
    },
  };
}

function asText(amounts: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
}
