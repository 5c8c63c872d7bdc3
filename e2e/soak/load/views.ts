import type { Resource, View } from "./scene.ts";

interface Shown {
  readonly view: View;
  readonly sentAtMs: number;
  ackedAtMs: number | undefined;
}

/** Views older than this are forgotten; no list takes longer. */
const keptMs = 120_000;

/** Which views may have been in force when: from the sending of a snapshot to the ack of the next. */
export class Views {
  #shown: Shown[] = [];
  /** When the API server was away; the last one may not be over. */
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

  outageBegins(): void {
    this.#outages = [...this.#outages.slice(-10), { fromMs: performance.now(), untilMs: Infinity }];
  }

  /** @param graceMs what began this long after it may still fail of it */
  outageEnds(graceMs: number): void {
    const last = this.#outages.at(-1);
    if (last !== undefined) last.untilMs = performance.now() + graceMs;
  }

  isOutage(fromMs: number, untilMs: number): boolean {
    return this.#outages.some((outage) => outage.fromMs <= untilMs && outage.untilMs >= fromMs);
  }
}

/** Teams as one text, for comparing. */
export function teamsOf(view: View, resource: Resource): string {
  return view.teams[resource].join(" ");
}
