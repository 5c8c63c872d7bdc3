import type { GoReference } from "./go-reference.ts";
import { classOf, type Finding, judge } from "./judge.ts";
import { readWithLlhttp } from "./llhttp.ts";
import type { Reading, Stream } from "./reading.ts";
import { shrink } from "./shrink.ts";
import { type GeneratedStream, generateStream } from "./streams.ts";
import type { Subject } from "./subject.ts";

const batchSize = 500;
/** A run ends early with this many classes of findings. */
const findingLimit = 20;

export interface FuzzOptions {
  readonly subject: Subject;
  readonly go: GoReference;
  readonly seed: number;
  readonly inputs: number;
  /** Ends the run behind the batch in which the time is over. */
  readonly limitMs?: number;
  /** End at the first finding, and leave it as large as it is. */
  readonly stopAtFirst?: boolean;
  progress?(inputs: number, findings: number): void;
  /** Called at once for the first finding of each class: a run of hours may not come to its end. */
  found?(finding: FuzzFinding): void;
  /** Number of the first input, default 0: each follows from seed and number alone. */
  readonly from?: number;
}

export interface FuzzFinding extends Finding {
  /** Number of the input within the run. */
  readonly index: number;
  readonly stream: Stream["kind"];
  /** The smallest input found that shows it, as a JavaScript string of Latin-1 characters and in hexadecimal. */
  readonly text: string;
  readonly hex: string;
}

export interface FuzzSummary {
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  /** Shares of inputs, 0 to 1, in which at least one message was read and nothing refused. */
  readonly accepted: {
    readonly go: number;
    readonly llhttp: number;
    readonly anyReference: number;
    readonly us: number;
  };
  /** How often each reviewed entry explained a difference in strictness. */
  readonly known: Readonly<Record<string, number>>;
  readonly findings: readonly FuzzFinding[];
}

const isAccepted = ({ end, messages }: Reading): boolean => end !== "refused" && messages.length > 0;

/** Gives generated streams to the subject and to both references, and holds the readings to each other. */
export async function fuzz(options: FuzzOptions): Promise<FuzzSummary> {
  const { seed, inputs, go, subject, from: first = 0 } = options;
  const start = performance.now();
  const counts = { go: 0, llhttp: 0, anyReference: 0, us: 0 };
  const known = new Map<string, number>();
  const findings = new Map<string, FuzzFinding>();
  const isOver = (): boolean =>
    findings.size >= (options.stopAtFirst ? 1 : findingLimit) ||
    performance.now() - start > (options.limitMs ?? Number.POSITIVE_INFINITY);
  const batch = (from: number): GeneratedStream[] =>
    Array.from({ length: Math.max(0, Math.min(batchSize, inputs - from)) }, (_, at) =>
      generateStream(seed, first + from + at),
    );
  let done = 0;
  // Go reads one batch while the one before it is judged here.
  let streams = batch(0);
  let reading = go.read(streams.map(({ stream }) => stream));
  while (streams.length > 0 && !isOver()) {
    const next = batch(done + streams.length);
    const nextReading = go.read(next.map(({ stream }) => stream));
    const readings = await reading;
    for (const [at, generated] of streams.entries()) {
      const goReading = readings[at];
      if (goReading === undefined) throw new Error("the Go reference left out an answer");
      const llhttp = readWithLlhttp(generated.stream);
      const judgement = judge(subject, { ...generated, references: { go: goReading, llhttp } });
      if (isAccepted(goReading)) counts.go++;
      if (isAccepted(llhttp)) counts.llhttp++;
      if (isAccepted(goReading) || isAccepted(llhttp)) counts.anyReference++;
      if (judgement.isAccepted) counts.us++;
      for (const id of judgement.known) known.set(id, (known.get(id) ?? 0) + 1);
      for (const finding of judgement.findings) {
        const name = classOf(finding);
        if (!findings.has(name)) {
          const shown = await presented(options, finding, generated, first + done + at);
          findings.set(name, shown);
          options.found?.(shown);
        }
      }
    }
    done += streams.length;
    options.progress?.(done, findings.size);
    streams = next;
    reading = nextReading;
  }
  await reading;
  const share = (count: number): number => (done === 0 ? 0 : count / done);
  return {
    seed,
    inputs: done,
    seconds: (performance.now() - start) / 1000,
    accepted: {
      go: share(counts.go),
      llhttp: share(counts.llhttp),
      anyReference: share(counts.anyReference),
      us: share(counts.us),
    },
    known: Object.fromEntries([...known].sort(([left], [right]) => (left < right ? -1 : 1))),
    findings: [...findings.values()],
  };
}

async function presented(
  options: FuzzOptions,
  finding: Finding,
  generated: GeneratedStream,
  index: number,
): Promise<FuzzFinding> {
  const { stream, isValid } = generated;
  const name = classOf(finding);
  // What is only an error because the bytes are valid can't be made smaller without making them invalid.
  const canShrink = !options.stopAtFirst && !isValid && stream.bytes.length < 4096;
  const bytes = canShrink
    ? await shrink(stream.bytes, async (smaller) => {
        const candidate = { ...stream, bytes: smaller };
        const [go] = await options.go.read([candidate]);
        if (go === undefined) return false;
        const references = { go, llhttp: readWithLlhttp(candidate) };
        const cuts = generated.cuts.filter((cut) => cut <= smaller.length);
        const judgement = judge(options.subject, { stream: candidate, isValid, cuts, references });
        return judgement.findings.some((other) => classOf(other) === name);
      })
    : stream.bytes;
  return {
    ...finding,
    index,
    stream: stream.kind,
    text: JSON.stringify(bytes.toString("latin1")),
    hex: bytes.toString("hex"),
  };
}
