import { toCtrlmeshError } from "#api/errors";
import { isApiError } from "#kube/client/api-error";
import { runController } from "#kube/client/controller";
import { WorkQueue } from "#kube/client/work-queue";
import { LedgerStore } from "./ledger.ts";
import { NamespacePods } from "./namespace-pods.ts";
import { NamespaceReconciler } from "./namespace-reconciler.ts";
import { PodTracker } from "./pod-tracker.ts";
import type { ShardingDeps } from "./sharding-deps.ts";

/** What happens in bursts is looked at once it is over. */
const settleMs = 50;
const wideSettleMs = 500;
/** Everything is looked at again now and then: an event that was lost must not be lost for ever. */
const resyncMs = 300_000;
const workers = 4;
/**
 * A proxy names the highest term that it has seen, and we go above it. One that names a term far beyond all
 * leaderships there can have been is wrong, and would use up the numbers.
 */
const credibleTermStep = 1_000_000n;

/**
 * Runs the sharding of all namespaces while we lead: takes the ledgers over, then brings specs, ledgers, proxies and
 * pods in step, namespace by namespace. Resolves when the signal has aborted and nothing is written any more.
 *
 * @throws LEADERSHIP_LOST when another leader has taken a ledger over; CtrlmeshError of the API client while
 *   taking over
 */
export async function runSharding(deps: ShardingDeps, signal: AbortSignal): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => deps.unowned.set(0));
  const ledgers = new LedgerStore({ ...deps, term: () => deps.term.current });
  const queue = stack.use(new WorkQueue({ ...deps, retryPause: { minMs: 100, maxMs: 30_000 } }));
  const tracker = new PodTracker(deps);
  const pods = stack.use(
    new NamespacePods(deps, (namespace, pod) => {
      tracker.saw(pod);
      queue.addAfter(namespace, settleMs);
    }),
  );
  const reconciler = new NamespaceReconciler({ ...deps, ledgers, tracker, pods });
  const keepAhead = termKeeper(deps, ledgers);

  await deps.configs.synced(ending);
  await ledgers.takeOver(ending);
  const addAll = () => {
    for (const namespace of namespacesOf(deps, ledgers)) queue.addAfter(namespace, wideSettleMs);
  };
  stack.use(deps.configs.onChange(({ name }) => queue.addAfter(name.namespace ?? "", settleMs)));
  stack.use(deps.proxies.onChange(({ namespace }) => queue.addAfter(namespace, settleMs)));
  stack.use(deps.catalog.onChange(addAll));
  stack.use(deps.coverage.onChange(addAll));
  for (const namespace of namespacesOf(deps, ledgers)) queue.add(namespace);

  await runController({
    name: "sharding",
    queue,
    workers,
    signal: ending,
    log: deps.log,
    reconcile: async (namespace, reconciling) => {
      try {
        if (await keepAhead(reconciling)) addAll();
        const lookAgainInMs = await reconciler.reconcile(namespace, reconciling);
        return { requeueAfterMs: Math.min(lookAgainInMs ?? resyncMs, resyncMs) };
      } catch (thrown) {
        if (isApiError(thrown, "LEADERSHIP_LOST")) lost.abort(thrown);
        throw thrown;
      }
    },
  });
  if (lost.signal.aborted) throw toCtrlmeshError(lost.signal.reason, "LEADERSHIP_LOST");
}

function namespacesOf({ configs, proxies }: ShardingDeps, ledgers: LedgerStore): ReadonlySet<string> {
  return new Set([
    ...configs.list().map(({ metadata }) => metadata?.namespace ?? ""),
    ...ledgers.all().map(({ namespace }) => namespace),
    ...proxies.all().map(({ pod }) => pod.namespace),
  ]);
}

/** Raises the term above any that a proxy has seen: it refuses snapshots of a lower one. True when it was raised. */
function termKeeper(
  { proxies, term, log }: ShardingDeps,
  ledgers: LedgerStore,
): (signal: AbortSignal) => Promise<boolean> {
  let raising: Promise<boolean> | undefined;
  let doubted = 0n;
  const raise = async (signal: AbortSignal): Promise<boolean> => {
    const seen = proxies.highestTerm;
    const current = BigInt(term.current);
    if (seen <= current) return false;
    if (seen > current + credibleTermStep) {
      if (doubted !== seen) log.error("a proxy names a term that cannot be", { term: String(seen) });
      doubted = seen;
      return false;
    }
    await term.raise(Number(seen) + 1, signal);
    await ledgers.takeOver(signal);
    log.warn("a proxy has seen a higher term, ours was raised above it", { term: term.current });
    return true;
  };
  return (signal) => {
    raising ??= raise(signal).finally(() => {
      raising = undefined;
    });
    return raising;
  };
}
