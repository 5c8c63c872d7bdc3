import { requestOf, responseOf } from "./grammar.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import type { Asked, Stream } from "./reading.ts";

/** Of ten streams so many carry responses, and so many are valid. */
const responseTenths = 3;
const validTenths = 4;

export interface GeneratedStream {
  readonly stream: Stream;
  /** Made by the grammar and not changed: to refuse it is an error. */
  readonly isValid: boolean;
  /** Where the bytes are cut when they are given in pieces. */
  readonly cuts: readonly number[];
}

/** The stream number `index` of a run. */
export function generateStream(seed: number, index: number): GeneratedStream {
  const random = new Random(seed, index);
  const isValid = random.below(10) < validTenths;
  const { text, asked } = random.below(10) < responseTenths ? responses(random) : requests(random);
  const bytes = Buffer.from(isValid ? text : mutate(random, text), "latin1");
  const stream: Stream =
    asked === undefined ? { kind: "requests", bytes } : { kind: "responses", bytes, asked };
  return { stream, isValid, cuts: cutsOf(random, bytes.length) };
}

interface StreamText {
  readonly text: string;
  readonly asked: readonly Asked[] | undefined;
}

function requests(random: Random): StreamText {
  let text = "";
  for (let count = random.between(1, 4); count > 0; count--) {
    const request = requestOf(random, count === 1);
    text += request.text;
    if (request.closes) break;
  }
  return { text, asked: undefined };
}

function responses(random: Random): StreamText {
  const asked: Asked[] = [];
  let text = "";
  for (let count = random.between(1, 3); count > 0; count--) {
    const { text: next, isHead, maySwitch, closes } = responseOf(random);
    text += next;
    asked.push({ isHead, maySwitch });
    if (closes) break;
  }
  return { text, asked };
}

function cutsOf(random: Random, length: number): number[] {
  if (length < 400 && random.oneIn(4))
    return Array.from({ length: Math.max(0, length - 1) }, (_, at) => at + 1);
  const cuts = Array.from({ length: random.between(1, 8) }, () => random.below(length + 1));
  return cuts.sort((left, right) => left - right);
}
