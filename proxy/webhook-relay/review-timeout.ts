/** What the API server waits at most and by default (admissionregistration.k8s.io/v1, `timeoutSeconds`). */
const maximumMs = 30_000;
const defaultMs = 10_000;

/**
 * How long the API server waits for the answer, in milliseconds. It says so in the query, `?timeout=10s`, as a Go
 * duration; anything else counts as the default of 10 s.
 */
export function reviewTimeoutMs(url: string): number {
  const start = url.indexOf("?");
  const given = start === -1 ? null : new URLSearchParams(url.slice(start + 1)).get("timeout");
  const match = /^(?:(\d{1,4})m)?(?:(\d{1,6}(?:\.\d{1,9})?)s)?(?:(\d{1,8}(?:\.\d{1,9})?)ms)?$/.exec(
    given ?? "",
  );
  const [minutes, seconds, milliseconds] = [match?.[1], match?.[2], match?.[3]].map((part) =>
    Number(part ?? 0),
  );
  const ms = (minutes ?? 0) * 60_000 + (seconds ?? 0) * 1_000 + (milliseconds ?? 0);
  return ms > 0 ? Math.min(ms, maximumMs) : defaultMs;
}
