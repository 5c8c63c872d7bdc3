/**
 * The proxy asked to come again later: a resource changes hands, and how new its answers must be was not found out
 * in 5 s (429 with Retry-After). On a machine with too much to do and a change each second that is how it should be.
 */
export class Postponed extends Error {}

/** Only for what changes hands; anything else may not be postponed. */
export function isPostponed(status: number, path: string): boolean {
  return status === 429 && /\/(configmaps|secrets)\b/.test(path);
}
