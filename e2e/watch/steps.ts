import { setTimeout as wait } from "node:timers/promises";
import { pageAcross } from "./page-across.ts";
import type { Random } from "./random.ts";
import { seenBy } from "./scope.ts";
import { byResource, type Views } from "./shard.ts";
import { differencesOf } from "./store.ts";
import { describe } from "./stream-checker.ts";
import { resources, type View } from "./view.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";
import { namespaces, teams } from "./writer.ts";

/** One thing that happens, and how often beside the others. */
interface Step {
  readonly name: string;
  readonly weight: number;
  /** How many API servers it needs. */
  readonly servers?: number;
  /** Says what was drawn, for the list of steps. */
  take(world: World, random: Random): Promise<string>;
}

/** How long clients have to come to the truth when nothing is written and nothing broken any more. */
const settleMs = 40_000;

export const steps: readonly Step[] = [
  {
    name: "go on",
    weight: 16,
    take: async ({ signal }, random) => {
      const ms = random.between(300, 2500);
      await wait(ms, undefined, { signal });
      return `${ms} ms`;
    },
  },
  { name: "switch views", weight: 10, take: (world, random) => show(world, drawViews(random), []) },
  {
    name: "switch views thrice at once",
    weight: 3,
    take: async (world, random) => {
      const drawn: string[] = [];
      for (let count = 0; count < 3; count++) drawn.push(await show(world, drawViews(random), []));
      return drawn.join(" | ");
    },
  },
  {
    name: "change the fence alone",
    weight: 3,
    take: (world, random) => show(world, currentViews(world), random.someOf(namespaces)),
  },
  {
    name: "gain while nothing is written",
    weight: 3,
    take: async (world, random) => {
      await world.writer.pause();
      const drawn = await show(world, drawViews(random), []);
      const again = await show(world, allOf(teams), []);
      await settle(world);
      return `${drawn} | ${again}`;
    },
  },
  {
    name: "switch views between two pages",
    weight: 5,
    take: (world, random) =>
      pageAcross(world, random, async () => {
        const drawn = await show(world, drawViews(random), []);
        if (random.chance(0.25)) await restartProxy(world);
        return drawn;
      }),
  },
  {
    name: "switch views between two pages while nothing is written",
    weight: 2,
    take: async (world, random) => {
      await world.writer.pause();
      const drawn = await pageAcross(world, random, () => show(world, drawViews(random), []));
      world.writer.goOn();
      return drawn;
    },
  },
  {
    name: "change the fence between two pages",
    weight: 1,
    take: (world, random) =>
      pageAcross(world, random, () => show(world, currentViews(world), random.someOf(namespaces))),
  },
  {
    name: "kill the proxy during a switch",
    weight: 2,
    take: async (world, random) => {
      const switched = show(world, drawViews(random), []);
      await wait(random.between(0, 60));
      await restartProxy(world);
      return switched;
    },
  },
  {
    name: "take the grant away and give it back",
    weight: 1,
    take: async (world, random) => {
      const nothing: View = { kind: "nothing" };
      await show(
        world,
        byResource(() => nothing),
        [],
      );
      await wait(random.between(0, 300));
      return show(world, drawViews(random), []);
    },
  },
  {
    name: "kill the proxy",
    weight: 2,
    take: async (world) => {
      await restartProxy(world);
      return "";
    },
  },
  {
    name: "cut the clients' connections",
    weight: 3,
    take: async ({ downstream }) => {
      downstream.cutAll();
      return "";
    },
  },
  {
    name: "cut the connections to the API servers",
    weight: 2,
    take: async ({ upstream }) => {
      upstream.cutAll();
      return "";
    },
  },
  {
    name: "compact etcd",
    weight: 2,
    take: async ({ history, upheavals }) => {
      const revision = await history.revision();
      await upheavals.during(() => history.compact(revision));
      return `at ${revision}`;
    },
  },
  { name: "restart an API server", weight: 1, take: restartApiServer },
  {
    name: "stop an API server for a while, and gain",
    weight: 4,
    servers: 2,
    take: (world, random) => world.upheavals.during(() => stopApiServer(world, random)),
  },
  {
    name: "settle",
    weight: 2,
    take: async (world) => {
      await settle(world);
      return `at ${world.history.newest}`;
    },
  },
];

/** Draws one of the steps that so many API servers allow. */
export function drawStep(random: Random, servers: number): Step {
  const possible = steps.filter((step) => (step.servers ?? 1) <= servers);
  let left = random.next() * possible.reduce((sum, { weight }) => sum + weight, 0);
  for (const step of possible) {
    left -= step.weight;
    if (left < 0) return step;
  }
  throw new Error("the weights do not add up");
}

export function allOf(names: readonly string[]): Views {
  const view: View = { kind: "teams", teams: names };
  return byResource(() => view);
}

/** Waits, without writes, until each client's store is what the view in force shows of the truth. */
export async function settle(world: World): Promise<void> {
  const { writer, history, reflectors, control } = world;
  await writer.pause();
  await history.reached(await history.revision());
  const deadline = performance.now() + settleMs;
  for (const { options, store, doing, revision } of [...reflectors, control].map(snapshotOf)) {
    const { scope, timeline, name } = options;
    const truth = history.stateAt(scope.resource, history.newest, seenBy(scope, timeline.current.view));
    while (differencesOf(store(), truth).length > 0) {
      if (performance.now() > deadline) {
        const paths = differencesOf(store(), truth);
        const what = `has not come to the truth of ${timeline.current.name} at ${history.newest}: ${describe(paths, store(), truth)}; it is at ${revision()}, its last request was ${doing()}, ${options.transport.state}`;
        throw new Violation(name, scope.resource, what, paths);
      }
      for (const reflector of reflectors) reflector.checkOpenWatch();
      await wait(20, undefined, { signal: world.signal });
    }
  }
  world.tally.add("settled");
  writer.goOn();
}

function snapshotOf(reflector: World["control"]) {
  return {
    options: reflector.options,
    store: () => reflector.store,
    doing: () => reflector.doing,
    revision: () => reflector.revision,
  };
}

function currentViews({ shard }: World): Views {
  return byResource((resource) => shard.timelines[resource].current.view);
}

function drawViews(random: Random): Views {
  return byResource(() =>
    random.chance(0.08) ? { kind: "all" } : { kind: "teams", teams: atLeastOne(random) },
  );
}

function atLeastOne(random: Random): string[] {
  const some = random.someOf(teams);
  return some.length > 0 ? some : [random.pick(teams)];
}

async function show(world: World, views: Views, fenced: readonly string[]): Promise<string> {
  await world.shard.show(views, fenced);
  world.tally.add("switches");
  const named = resources.map((resource) => `${resource} ${world.shard.timelines[resource].current.name}`);
  return fenced.length > 0 ? `${named.join(", ")}, fenced ${fenced.join(",")}` : named.join(", ");
}

async function restartProxy({ operator, upheavals, tally }: World): Promise<void> {
  await upheavals.during(async () => {
    await operator.kill();
    operator.start();
    await operator.untilReady();
  });
  tally.add("proxy kills");
}

async function restartApiServer(world: World, random: Random): Promise<string> {
  const { plane, away, upheavals, tally } = world;
  const index = random.between(0, plane.urls.length - 1);
  const signal = random.pick(["SIGKILL", "SIGTERM"] as const);
  away.add(index);
  await upheavals.during(() => plane.restartApiServer(index, signal));
  away.delete(index);
  tally.add("API server restarts");
  return `${index} ${signal}`;
}

/** What it has been told by etcd is old when it goes on, and requests wait in its sockets. */
async function stopApiServer(world: World, random: Random): Promise<string> {
  const { plane, away, tally } = world;
  const index = random.between(0, plane.urls.length - 1);
  const pid = plane.apiServerPid(index);
  if (pid === undefined) throw new Error(`API server ${index} does not run`);
  const stopMs = random.between(300, 2500);
  away.add(index);
  process.kill(pid, "SIGSTOP");
  const stopped = wait(stopMs).then(() => {
    if (plane.apiServerPid(index) !== pid)
      throw new Error(`API server ${index} has ended while it was stopped`);
    process.kill(pid, "SIGCONT");
  });
  try {
    await wait(random.between(0, 300));
    return `${index} for ${stopMs} ms, ${await show(world, drawViews(random), [])}`;
  } finally {
    await stopped;
    away.delete(index);
    tally.add("API server stops");
  }
}
