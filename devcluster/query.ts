/**
 * The parameters of a query as Go's net/url reads them: pairs are separated by "&" alone; one with ";" or with
 * broken percent-encoding does not count.
 */
export function parseQuery(text: string): URLSearchParams {
  return new URLSearchParams(text.split("&").filter(counts).join("&"));
}

function counts(pair: string): boolean {
  return !pair.includes(";") && !/%(?![0-9A-Fa-f]{2})/.test(pair);
}
