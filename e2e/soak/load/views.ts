import type { Resource, View } from "./scene.ts";

interface Shown {
  readonly view: View;
  readonly sentAtMs: number;
  ackedAtMs: number | undefined;
}

/** Views older than this are forgotten; no list takes longer. */
const keptMs = 120_000;
const keptOutages = 10;

/** Which views may have been in force when: from the sending of a snapshot to the ack of the next. */
export class Views {
  #shown: Shown[] = [];
  /** When the API server was away or did not answer. */
  #outages: { readonly fromMs: number; untilMs: number }[] = [];

  sent(view: View): void {
    const sentAtMs = performance.now();
    this.#shown.push({ view, sentAtMs, ackedAtMs: undefined });
    while (this.#shown.length > 2 && (this.#shown[1]?.ackedAtMs ?? sentAtMs) < sentAtMs - keptMs)
      this.#shown.shift();
  }

  acked(): void {
    const last = this.#shown.at(-1);
    if (last !== undefined) last.ackedAtMs ??= performance.now();
  }

  /** Views that a request may have been decided under that began and ended then. */
  possible(fromMs: number, untilMs: number): View[] {
    return this.#shown.flatMap(({ view, sentAtMs }, index) => {
      const isOver = this.#shown.slice(index + 1).some(({ ackedAtMs = Infinity }) => ackedAtMs < fromMs);
      return sentAtMs <= untilMs && !isOver ? [view] : [];
    });
  }

  /** @param agoMs how long ago it may have begun */
  outageBegins(agoMs: number): void {
    const fromMs = performance.now() - agoMs;
    this.#outages = [...this.#outages.slice(-keptOutages), { fromMs, untilMs: Infinity }];
  }

  /** @param graceMs what began this long after it may still fail of it */
  outageEnds(graceMs: number): void {
    for (const outage of this.#outages)
      if (outage.untilMs === Infinity) outage.untilMs = performance.now() + graceMs;
  }

  isOutage(fromMs: number, untilMs: number): boolean {
    return this.#outages.some((outage) => outage.fromMs <= untilMs && outage.untilMs >= fromMs);
  }
}

/** Teams as one text, for comparing. */
export function teamsOf(view: View, resource: Resource): string {
  return view.teams[resource].join(" ");
}
