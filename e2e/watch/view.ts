/** The resources that the checker writes and watches, all of the core group and of kinds that nothing else touches. */
export const resources = [
  "configmaps",
  "secrets",
  "serviceaccounts",
  "limitranges",
  "resourcequotas",
  "endpoints",
] as const;
export type Resource = (typeof resources)[number];

export type Labels = Readonly<Record<string, string>>;

/** What a shard sees of one resource: the objects of some teams, everything, or nothing (no grant). */
export type View =
  | { readonly kind: "teams"; readonly teams: readonly string[] }
  | { readonly kind: "all" | "nothing" };

export function isShown(view: View, labels: Labels): boolean {
  return view.kind === "all" || (view.kind === "teams" && view.teams.includes(labels.team ?? ""));
}

/** The selector of the shard; empty when there is none. Equal views have equal texts. */
export function selectorOf(view: View): string {
  return view.kind === "teams" ? `team in (${view.teams.toSorted().join(",")})` : "";
}

function nameOf(view: View): string {
  return view.kind === "teams" ? selectorOf(view) : view.kind;
}

/** A view between two switches that changed it. Times are on the monotonic clock. */
export interface ViewPeriod {
  readonly name: string;
  readonly view: View;
  /** From here on it may be in force. */
  readonly sentAtMs: number;
  /** Known to etcd before the view was sent: no list under it may be older. */
  readonly notBeforeRevision: number;
  /** From here on it is not in force any more. */
  endedAtMs: number;
}

/** Which view of one resource was in force when, as far as sending and ack of the snapshots tell. */
export class ViewTimeline {
  readonly #periods: ViewPeriod[] = [];

  /** Before a snapshot is sent. A view like the one before goes on: it brings no new floor and ends no watch. */
  sending(view: View, revision: number): void {
    const name = nameOf(view);
    if (this.#periods.at(-1)?.name === name) return;
    this.#periods.push({
      name,
      view,
      sentAtMs: performance.now(),
      notBeforeRevision: revision,
      endedAtMs: Number.POSITIVE_INFINITY,
    });
  }

  /** The last one sent is the only one in force. */
  acked(ackedAtMs: number): void {
    for (const period of this.#periods.slice(0, -1)) {
      if (period.endedAtMs !== Number.POSITIVE_INFINITY) continue;
      period.endedAtMs = ackedAtMs;
    }
  }

  /** Undefined before the first snapshot. */
  get newest(): ViewPeriod | undefined {
    return this.#periods.at(-1);
  }

  get current(): ViewPeriod {
    const period = this.newest;
    if (period === undefined) throw new Error("no snapshot was sent yet");
    return period;
  }

  /** All that may have been in force at some time between two. */
  between(fromMs: number, toMs: number): ViewPeriod[] {
    return this.#periods.filter(({ sentAtMs, endedAtMs }) => sentAtMs <= toMs && endedAtMs >= fromMs);
  }

  /** Whether another view may have come into force after a time. */
  hasChangedSince(ms: number): boolean {
    return this.between(ms, performance.now()).length > 1;
  }
}
