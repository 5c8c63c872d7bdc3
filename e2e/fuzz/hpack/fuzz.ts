import { Random } from "../http1/random.ts";
import { compareBlocks, compareFrames, type Verdict } from "./compare.ts";
import { goEncoded, listsForGo, mutatedBlocks, randomBlocks, randomFrames } from "./generate.ts";
import type { GoReference } from "./go-reference.ts";
import type { BlocksInput, FramesInput, FuzzInput } from "./reading.ts";
import type { Subject } from "./subject.ts";

export interface FuzzOptions {
  readonly subject: Subject;
  readonly go: GoReference;
  readonly inputs: number;
  readonly seed: number;
}

export interface FuzzResult {
  /** Inputs that Go accepts to their end. */
  readonly accepted: number;
  /** Reason of a leniency to how often it was met. */
  readonly lenient: ReadonlyMap<string, number>;
  /** The first few, each with its input's index. */
  readonly differences: readonly string[];
}

const batchSize = 500;
const shownDifferences = 10;
/** List limits for the run that must leave the tables right though it keeps no fields. */
const smallListLimits = [0, 100, 400] as const;

/** Reads random inputs with both, batch by batch, and stops at the first batch that has differences. */
export async function fuzz({ subject, go, inputs, seed }: FuzzOptions): Promise<FuzzResult> {
  const lenient = new Map<string, number>();
  const differences: string[] = [];
  let accepted = 0;
  for (let start = 0; start < inputs && differences.length === 0; start += batchSize) {
    const indexes = Array.from(
      { length: Math.min(batchSize, inputs - start) },
      (_, offset) => start + offset,
    );
    const batch = await Promise.all(
      indexes.map(async (index) => judge(subject, go, await generate(go, seed, index), index)),
    );
    for (const [offset, { isAccepted, verdicts }] of batch.entries()) {
      if (isAccepted) accepted++;
      for (const verdict of verdicts) {
        if (verdict.kind === "lenient") {
          lenient.set(verdict.leniency.reason, (lenient.get(verdict.leniency.reason) ?? 0) + 1);
        } else if (verdict.kind === "difference" && differences.length < shownDifferences) {
          differences.push(`input ${indexes[offset]} of seed ${seed}: ${verdict.what}`);
        }
      }
    }
  }
  return { accepted, lenient, differences };
}

/** One of: random blocks, Go's blocks, frames. About half of the blocks are mutated. */
async function generate(go: GoReference, seed: number, index: number): Promise<FuzzInput> {
  if (index % 4 === 3) return randomFrames(seed, index);
  let input = randomBlocks(seed, index);
  if (index % 4 === 2) {
    const lists = listsForGo(seed, index);
    input = goEncoded(lists, await go.encode(lists));
  }
  const random = new Random(seed ^ 0x5bd1e995, index);
  return random.oneIn(2) ? mutatedBlocks(input, random) : input;
}

interface Judgement {
  readonly isAccepted: boolean;
  readonly verdicts: readonly Verdict[];
}

/** What is thrown untyped is a difference: the input is needed to find out why. */
async function judge(subject: Subject, go: GoReference, input: FuzzInput, index: number): Promise<Judgement> {
  try {
    return input.kind === "blocks"
      ? await judgeBlocks(subject, go, input, index)
      : await judgeFrames(subject, go, input);
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { isAccepted: false, verdicts: [{ kind: "difference", what }] };
  }
}

async function judgeBlocks(
  subject: Subject,
  go: GoReference,
  input: BlocksInput,
  index: number,
): Promise<Judgement> {
  const ours = subject.decode(input, Number.MAX_SAFE_INTEGER);
  const limited = subject.decode(input, smallListLimits[index % smallListLimits.length] ?? 0);
  const recoded = subject.recode(input);
  const [theirs, ofRecoded] = await Promise.all([
    go.decode(input),
    go.decode({ ...input, maxTableSize: 0, operations: recoded.map((block) => ({ kind: "block", block })) }),
  ]);
  const twice = { lists: ours.lists.flatMap((list) => [list, list]), refusal: undefined };
  const verdicts = [
    compareBlocks(ours, theirs),
    compareBlocks(limited, ours, limited.tooLarge),
    compareBlocks(twice, ofRecoded),
  ];
  if (input.lists !== undefined)
    verdicts.push(compareBlocks({ lists: input.lists, refusal: undefined }, ours));
  return { isAccepted: theirs.refusal === undefined, verdicts };
}

async function judgeFrames(subject: Subject, go: GoReference, input: FramesInput): Promise<Judgement> {
  const ours = subject.readFrames(input, []);
  const split = subject.readFrames(input, input.cuts);
  const theirs = await go.readFrames(input);
  return {
    isAccepted: theirs.end === "clean",
    verdicts: [compareFrames(ours, theirs), compareFrames(split, ours)],
  };
}
