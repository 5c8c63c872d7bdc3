import { gunzipSync } from "node:zlib";
import type { HeaderField, HttpAnswer } from "./client.ts";
import type { Mask } from "./masks.ts";

/** Characters shown on each side of the first difference of two bodies. */
const shownCharacters = 120;

/**
 * What tells two answers apart beyond the masks, a line for each difference: status, 1xx answers, every header by
 * name as spelt and by value, trailers, and the bodies byte by byte. Only a gzip coding is undone first: that it
 * was applied is told by its header.
 */
export function differences(left: HttpAnswer, right: HttpAnswer, masks: readonly Mask[]): string[] {
  return [
    ...unequal("status", String(left.status), String(right.status)),
    ...unequal("1xx answers", left.informational.join(), right.informational.join()),
    ...differentFields("header", left.headers, right.headers, masks),
    ...differentFields("trailer", left.trailers, right.trailers, masks),
    ...differentBodies(maskedBody(left, masks), maskedBody(right, masks)),
  ];
}

function unequal(what: string, left: string, right: string): string[] {
  return left === right ? [] : [`${what}: ${left} | ${right}`];
}

/** The order of fields means nothing; how often each one stands there does. */
function differentFields(
  kind: string,
  left: readonly HeaderField[],
  right: readonly HeaderField[],
  masks: readonly Mask[],
): string[] {
  const hidden = new Set(masks.map(({ header }) => header));
  const lines = (fields: readonly HeaderField[]): string[] =>
    fields.map(([name, value]) => (hidden.has(name.toLowerCase()) ? name : `${name}: ${value}`)).sort();
  return unequal(`${kind}s`, lines(left).join(", "), lines(right).join(", "));
}

function maskedBody(answer: HttpAnswer, masks: readonly Mask[]): string {
  const isGzip = answer.headers.some(
    ([name, value]) => name.toLowerCase() === "content-encoding" && value === "gzip",
  );
  const bytes = isGzip && answer.body.length > 0 ? gunzipSync(answer.body) : answer.body;
  return masks.reduce((text, mask) => mask.body?.(text) ?? text, bytes.toString("latin1"));
}

function differentBodies(left: string, right: string): string[] {
  if (left === right) return [];
  let at = 0;
  while (at < left.length && left.charCodeAt(at) === right.charCodeAt(at)) at++;
  const around = (text: string): string =>
    JSON.stringify(text.slice(Math.max(0, at - shownCharacters), at + shownCharacters));
  return [
    `body at ${at} (${left.length} and ${right.length} characters):\n  ${around(left)}\n  ${around(right)}`,
  ];
}
