import assert from "node:assert/strict";

const pollMs = 50;

/**
 * Waits until a condition holds, and fails with what was awaited when it does not in time. A condition that
 * throws counts as not yet; its last error is shown.
 */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { readonly withinMs?: number; readonly detail?: () => string } = {},
): Promise<void> {
  const { withinMs = 30_000, detail } = options;
  const deadline = performance.now() + withinMs;
  let lastError = "";
  while (performance.now() < deadline) {
    try {
      if (await condition()) return;
      lastError = "";
    } catch (error) {
      lastError = error instanceof Error ? error.message : String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  const facts = [lastError, detail?.() ?? ""].filter((text) => text !== "").join("\n");
  assert.fail(`not within ${withinMs} ms: ${what}${facts === "" ? "" : `\n${facts}`}`);
}

/** Looks again and again for a time whether a condition holds, and fails at once when it does not. */
export async function throughout(
  what: string,
  lastingMs: number,
  condition: () => boolean | Promise<boolean>,
  detail: () => string = () => "",
): Promise<void> {
  const startMs = performance.now();
  while (performance.now() - startMs < lastingMs) {
    const afterMs = Math.round(performance.now() - startMs);
    if (!(await condition())) assert.fail(`not any more after ${afterMs} ms: ${what}\n${detail()}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
