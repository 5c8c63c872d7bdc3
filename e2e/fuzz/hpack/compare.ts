import { type Leniency, leniencies } from "./leniencies.ts";
import type { BlocksReading, FramesReading } from "./reading.ts";

/** What two readings of the same bytes are to each other. */
export type Verdict =
  | { readonly kind: "same" }
  | { readonly kind: "lenient"; readonly leniency: Leniency }
  | { readonly kind: "difference"; readonly what: string };

const same: Verdict = { kind: "same" };
const difference = (what: string): Verdict => ({ kind: "difference", what });

/** `tooLarge`: lists whose fields we did not keep. */
export function compareBlocks(
  ours: BlocksReading,
  theirs: BlocksReading,
  tooLarge: ReadonlySet<number> = new Set(),
): Verdict {
  const common = Math.min(ours.lists.length, theirs.lists.length);
  for (let index = 0; index < common; index++) {
    const mine = JSON.stringify(ours.lists[index]);
    const other = JSON.stringify(theirs.lists[index]);
    if (mine !== other && !tooLarge.has(index))
      return difference(`block ${index}: ${mine}, and in Go ${other}`);
  }
  return compareEnds("blocks", ours.lists.length - theirs.lists.length, ours.refusal, theirs.refusal);
}

export function compareFrames(ours: FramesReading, theirs: FramesReading): Verdict {
  const common = Math.min(ours.frames.length, theirs.frames.length);
  for (let index = 0; index < common; index++) {
    if (ours.frames[index] !== theirs.frames[index]) {
      return difference(`frame ${index}: ${ours.frames[index]}, and in Go ${theirs.frames[index]}`);
    }
  }
  // A frame whose header is refused by one and cut off for the other tells nothing.
  const isCut = ours.end === "truncated" || theirs.end === "truncated";
  if (isCut && ours.frames.length === theirs.frames.length) return same;
  return compareEnds("frames", ours.frames.length - theirs.frames.length, ours.refusal, theirs.refusal);
}

/** `ahead`: how much more we read than Go. */
function compareEnds(
  of: Leniency["of"],
  ahead: number,
  ours: string | undefined,
  theirs: string | undefined,
): Verdict {
  if (ahead === 0 && (ours === undefined) === (theirs === undefined)) return same;
  const weStopped = ahead < 0 || (ahead === 0 && ours !== undefined);
  const leniency = leniencies.find(
    (one) =>
      one.of === of &&
      (weStopped ? one.weRefuse?.test(ours ?? "") === true : one.goRefuses?.test(theirs ?? "") === true),
  );
  if (leniency !== undefined) return { kind: "lenient", leniency };
  return difference(`we say ${ours ?? "nothing"}, Go says ${theirs ?? "nothing"}`);
}
