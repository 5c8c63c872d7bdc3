import type { LoadReport } from "../record.ts";
import type { Protocol } from "./channel.ts";

/** Violations that are kept in words. */
const keptViolations = 20;

/** Counts what the load did and saw. */
export class Tally {
  readonly #answers: Record<string, Record<string, number>> = {};
  readonly #byProtocol: Record<string, number> = {};
  readonly #violations: string[] = [];
  #violationCount = 0;
  #requests = 0;
  watchesOpened = 0;
  watchesOpen = 0;
  watchEvents = 0;
  bookmarks = 0;
  watchesExpired = 0;
  retries = 0;

  sent(protocol: Protocol): void {
    this.#requests++;
    this.#byProtocol[protocol] = (this.#byProtocol[protocol] ?? 0) + 1;
  }

  answered(operation: string, outcome: string | number): void {
    const outcomes = this.#answers[operation] ?? {};
    this.#answers[operation] = outcomes;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }

  violation(what: string): void {
    this.#violationCount++;
    if (this.#violations.length < keptViolations)
      this.#violations.push(`${new Date().toISOString()} ${what}`);
  }

  report(): LoadReport {
    const { watchesOpened, watchesOpen, watchEvents, bookmarks, watchesExpired, retries } = this;
    return {
      answers: this.#answers,
      requests: this.#requests,
      requestsByProtocol: this.#byProtocol,
      watchesOpened,
      watchesOpen,
      watchEvents,
      bookmarks,
      watchesExpired,
      retries,
      violations: this.#violationCount,
      firstViolations: this.#violations,
    };
  }
}
