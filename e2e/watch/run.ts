import { compareBookmarks } from "./bookmark-twins.ts";
import { Random } from "./random.ts";
import { allOf, drawStep, settle } from "./steps.ts";
import { Violation } from "./violation.ts";
import { startWorld, type World } from "./world.ts";
import { teams } from "./writer.ts";

export interface RunOptions {
  readonly seed: number;
  readonly servers: number;
  /** Reflectors for each resource. */
  readonly clients: number;
  /** The run ends behind the first of the two. */
  readonly steps: number;
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
  /** Ends the run, with its reason as error. */
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly steps: number;
  readonly writes: number;
  readonly tally: string;
}

/**
 * One run of the checker: clients watch through the proxy while things happen to all parts.
 *
 * @throws Error with seed, steps and the history of the objects, when a client was told something wrong
 */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, servers, print } = options;
  const random = new Random(seed);
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, options.signal]);
  await using world = await startWorld({ servers, clients: options.clients, random, signal });
  const { shard, operator, writer, reflectors, control, history, tally } = world;
  const log: string[] = [];
  operator.start();
  await shard.show(allOf(teams.slice(0, 2)));
  await operator.untilReady();

  const failed = Promise.withResolvers<never>();
  const clients = [...reflectors, control].map((reflector) =>
    reflector.run(signal).catch((error: unknown) => failed.reject(error)),
  );
  const writing = writer.run(signal);
  const deadline = performance.now() + options.deadlineMs;
  let count = 0;
  const take = async (): Promise<void> => {
    for (; count < options.steps && performance.now() < deadline; count++) {
      signal.throwIfAborted();
      const step = drawStep(random, servers);
      const startMs = performance.now();
      log.push(`${count} ${step.name}`);
      const drawn = await step.take(world, random);
      log[log.length - 1] =
        `${count} ${step.name}: ${drawn} (${Math.round(performance.now() - startMs)} ms, ${history.newest})`;
      print(log.at(-1) ?? "");
      for (const reflector of reflectors) reflector.checkOpenWatch();
    }
    await settle(world);
    await compareBookmarks(world);
  };
  const taken = take();
  try {
    await Promise.race([taken, failed.promise]);
    options.signal.throwIfAborted();
  } catch (error) {
    throw new Error(report(error, { seed, servers, log, world }), { cause: error });
  } finally {
    failed.promise.catch(() => undefined);
    stop.abort();
    // A step under way must not start anything behind the end of the world.
    await Promise.all([...clients, writing, taken.catch(() => undefined)]);
  }
  return { steps: count, writes: writer.count, tally: tally.toString() };
}

interface Circumstances {
  readonly seed: number;
  readonly servers: number;
  readonly log: readonly string[];
  readonly world: World;
}

const shownSteps = 30;
const shownObjects = 3;
const shownChanges = 15;

function report(error: unknown, { seed, servers, log, world }: Circumstances): string {
  const lines = [
    error instanceof Error ? error.message : String(error),
    `seed ${seed}, ${servers} API server(s); steps:`,
    ...log.slice(-shownSteps).map((step) => `  ${step}`),
  ];
  if (error instanceof Violation) {
    for (const path of error.paths.slice(0, shownObjects)) {
      lines.push(`history of ${error.resource} ${path}:`);
      const history = world.history.historyOf(error.resource, path);
      lines.push(...history.slice(-shownChanges).map((change) => `  ${change}`));
    }
  } else if (error instanceof Error) lines.push(error.stack ?? "");
  return lines.join("\n");
}
