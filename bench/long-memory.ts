import { setTimeout as delay } from "node:timers/promises";
import { objectPath, podsPath } from "./cases.ts";
import type { Protocol, RunningContender } from "./contenders/contender.ts";
import type { Product } from "./contenders/product.ts";
import { runLoad } from "./load.ts";
import { residentMiB } from "./machine.ts";
import type { ResultRow } from "./results.ts";
import { selector, type TestBed } from "./test-bed.ts";

/** Ten watches are opened and cut for each hundred requests. */
interface Amount {
  readonly requests: number;
  readonly cuts: number;
}

const few: Amount = { requests: 10_000, cuts: 1_000 };
const many: Amount = { requests: 1_000_000, cuts: 100_000 };
/** After the last connection is gone: what the process gives back, it has given back. */
const settleMs = 5_000;

/** Memory of one process after little and after much work, each time when all connections are closed again. */
export async function measureLongMemory(
  bed: TestBed,
  product: Product,
  protocol: Protocol,
): Promise<ResultRow> {
  await using running = await product.start(bed, { protocol });
  const early = await memoryAfter(bed, running, protocol, few);
  const late = await memoryAfter(bed, running, protocol, many);
  const ratio = late / early;
  return {
    case: protocol === "http1" ? "memory" : "memory-h2",
    metric: "rss",
    peer: "after-10000",
    product: late,
    peerValue: early,
    unit: "MiB",
    ratio: { min: ratio, median: ratio, max: ratio },
  };
}

async function memoryAfter(
  bed: TestBed,
  { port, pid = 0 }: RunningContender,
  protocol: Protocol,
  { requests, cuts }: Amount,
): Promise<number> {
  const all = { port, protocol, "want-selector": selector, clients: 8 };
  await runLoad(bed, { ...all, path: objectPath, count: requests, warm: "0s" });
  const path = podsPath("watch=1&resourceVersion=1001", true);
  await runLoad(bed, { ...all, mode: "cuts", path, count: cuts, rate: 1000 });
  await delay(settleMs);
  return residentMiB(pid);
}
