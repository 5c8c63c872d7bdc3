import { CtrlmeshError } from "#api/errors";

const pollMs = 150;

/**
 * Asks until the answer is not undefined.
 *
 * @param missing says what is still missing, for the error
 * @throws TIMEOUT after `limitMs`; the signal's reason when it aborts
 */
export async function awaitCondition<T>(
  ask: () => Promise<T | undefined>,
  limits: { readonly limitMs: number; readonly signal: AbortSignal; readonly missing: () => string },
): Promise<T> {
  const deadline = performance.now() + limits.limitMs;
  for (;;) {
    limits.signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) {
      throw new CtrlmeshError("TIMEOUT", {
        what: `not reached within ${limits.limitMs / 1000} s: ${limits.missing()}`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
