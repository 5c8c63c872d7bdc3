import { decodeComponent, findParameter, pairEnd, rawValueAt } from "#kube/wire/query";

/**
 * Ands the shard's selector to the client's. All other parameters keep their order and their bytes, and so
 * does the client's own selector: a selector that the API server would refuse is still refused by it.
 *
 * - The shard's part stands first: it ends whole, so nothing in the client's part can reach into it. A NUL, for
 *   instance, ends apimachinery's lexer.
 * - Every `labelSelector` gets it, although the API server reads the first one only: another server behind the
 *   aggregator may read the last.
 * - Without one, ours becomes the first parameter, before anything that a laxer parser could take for one
 *   (Go before 1.17 also split at ";").
 *
 * @param query raw, without "?"
 * @param escapedSelector the shard's selector, escaped for a query, not empty
 */
export function andSelector(query: string, escapedSelector: string): string {
  let start = findParameter(query, "labelSelector");
  if (start < 0) return `labelSelector=${escapedSelector}${query === "" ? "" : "&"}${query}`;
  let result = "";
  let copied = 0;
  for (; start >= 0; start = findParameter(query, "labelSelector", copied + 1)) {
    const value = rawValueAt(query, start);
    const both = isBlank(value) ? escapedSelector : `${escapedSelector}%2C${value}`;
    result += `${query.slice(copied, start)}labelSelector=${both}`;
    copied = pairEnd(query, start);
  }
  return result + query.slice(copied);
}

/** Nothing but what apimachinery's lexer skips: selects everything, and would make a trailing comma an error. */
function isBlank(rawValue: string): boolean {
  const value = decodeComponent(rawValue) ?? rawValue;
  for (let i = 0; i < value.length; i++) {
    if (!" \t\r\n".includes(value.charAt(i))) return false;
  }
  return true;
}
