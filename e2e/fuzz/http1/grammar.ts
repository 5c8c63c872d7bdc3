import type { Random } from "./random.ts";

/** Texts that clients and API servers send, Latin-1, made from random choices. All of them are valid. */

const tokenAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
const lowerAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
// Without "%": Go refuses what is no percent-encoding.
const targetAlphabet = "abcXYZ019-._~!$&'()*+,;=:@/?";
const valueAlphabet = "abc XYZ019\t-._~!\"#$%&'()*+,;=:@/?[]{}|\\^`<>\u0080\u00a0\u00e4\u00ff";
const quotedAlphabet = "abc XYZ019\t-._~!#$%&'()*+,;=:@/?[]{}|^`<>\u0080\u00ff";
const hexAlphabet = "0123456789abcdefABCDEF";

const eol = "\r\n";

/** Bodies in which one who misjudges a length finds another message. */
const decoys = [
  "GET /api/v1/secrets HTTP/1.1\r\nHost: api\r\n\r\n",
  "0\r\n\r\n",
  "\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
] as const;

export function bodyOf(random: Random): string {
  switch (random.below(6)) {
    case 0:
      return "";
    case 1:
      return random.pick(decoys);
    case 2:
      return random.text("\0\r\n 09azAZ;:\u0080\u00ff", random.below(40));
    case 3:
      return random.text(lowerAlphabet, random.below(300));
    default:
      return `{"kind":"ConfigMap","metadata":{"name":"${random.text(lowerAlphabet, 8)}"}}`;
  }
}

export function chunkedOf(random: Random, content: string): string {
  let text = "";
  for (let at = 0; at < content.length; ) {
    const size = random.between(1, Math.min(content.length - at, random.pick([3, 16, 300])));
    const hex = size.toString(16);
    const padded = random.oneIn(6) ? hex.padStart(random.between(1, 8), "0") : hex;
    text += (random.oneIn(3) ? padded.toUpperCase() : padded) + extensionOf(random) + eol;
    text += content.slice(at, at + size) + eol;
    at += size;
  }
  text += (random.oneIn(8) ? "000" : "0") + extensionOf(random) + eol;
  if (random.oneIn(5)) {
    for (let count = random.between(1, 3); count > 0; count--) text += fieldOf(random);
  }
  return text + eol;
}

function extensionOf(random: Random): string {
  if (!random.oneIn(6)) return "";
  const name = `;${random.text(lowerAlphabet, random.between(1, 8))}`;
  switch (random.below(3)) {
    case 0:
      return name;
    case 1:
      return `${name}=${random.text(tokenAlphabet, random.between(1, 20))}`;
    default:
      return `${name}="${random.text(quotedAlphabet, random.below(20))}"`;
  }
}

/** A header that decides nothing. */
export function fieldOf(random: Random): string {
  const name = `x-${random.text(tokenAlphabet, random.between(1, 12))}`;
  const value = random.text(valueAlphabet, random.below(30));
  return `${name}:${random.pick(["", " ", " ", "\t ", "  "])}${value}${random.pick(["", "", " ", "\t"])}${eol}`;
}

/** A header name in another case. */
export function caseOf(random: Random, text: string): string {
  if (!random.oneIn(6)) return text;
  return [...text].map((letter) => (random.oneIn(2) ? letter.toUpperCase() : letter.toLowerCase())).join("");
}

const paths = [
  "/api/v1/configmaps",
  "/api/v1/namespaces/default/pods?limit=500&resourceVersion=0",
  "/apis/apps/v1/deployments?watch=true&allowWatchBookmarks=true&resourceVersion=77&timeoutSeconds=333",
  "/api/v1/pods?labelSelector=a%3Db%2Cc%20in%20%28d%2Ce%29",
  "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x",
  "/healthz",
  "/",
  "/api/v1/namespaces/a/pods/p/exec?command=sh&stdin=true",
] as const;

function targetOf(random: Random): string {
  return random.oneIn(4) ? `/${random.text(targetAlphabet, random.below(40))}` : random.pick(paths);
}

const methods = ["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] as const;

const accepts = [
  "application/json",
  "application/vnd.kubernetes.protobuf, application/json",
  "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io",
  "*/*",
  "",
] as const;

/** The places that mutations aim at: a request's bytes, and whether it ends the connection. */
export interface RequestText {
  readonly text: string;
  readonly closes: boolean;
}

/** One request as client-go, kubectl, or any other correct client sends it. */
export function requestOf(random: Random, isLast: boolean): RequestText {
  const is10 = random.oneIn(15);
  const framing = random.below(5);
  const isChunked = framing === 0 && !is10;
  const hasLength = !isChunked && framing <= 2;
  const method = random.oneIn(40)
    ? random.text("ABCXYZ", 5)
    : isChunked || hasLength
      ? random.pick(["POST", "PUT", "PATCH", "DELETE"])
      : random.pick(methods);
  const body = isChunked || hasLength ? bodyOf(random) : "";
  const fields: string[] = [];
  const add = (name: string, value: string): void => {
    fields.push(`${caseOf(random, name)}:${random.pick([" ", " ", " ", "", "\t"])}${value}${eol}`);
  };
  if (!is10 || random.oneIn(2)) add("Host", random.pick(["10.96.0.1:443", "api", "[::1]:6443"]));
  if (random.oneIn(2)) add("User-Agent", "operator/v0.0.0 (linux/amd64) kubernetes/$Format");
  if (!random.oneIn(3)) add("Accept", random.pick(accepts));
  if (random.oneIn(20)) add("Accept", "text/plain");
  if (random.oneIn(2)) add("Authorization", `Bearer ${random.text(tokenAlphabet, 30)}`);
  if (random.oneIn(3)) add("Accept-Encoding", "gzip");
  if (random.oneIn(5)) add("Impersonate-User", "system:admin");
  while (random.oneIn(3)) fields.push(fieldOf(random));
  if (isChunked) add("Transfer-Encoding", random.oneIn(5) ? "Chunked" : "chunked");
  if (hasLength) {
    const length = String(body.length);
    add("Content-Length", random.oneIn(10) ? length.padStart(random.between(1, 15), "0") : length);
  }
  if (body !== "") add("Content-Type", "application/json");
  if (body !== "" && !is10 && random.oneIn(8)) add("Expect", random.pick(["100-continue", "100-Continue"]));
  const closes = is10 ? !random.oneIn(3) : random.oneIn(isLast ? 5 : 25);
  if (is10 !== closes) add("Connection", closes ? random.pick(["close", "x, Close"]) : "keep-alive");
  else if (random.oneIn(10)) add("Connection", closes ? "close" : random.pick(["keep-alive", "te"]));
  else if (!is10 && body === "" && random.below(10) === 1) {
    add("Connection", random.pick(["Upgrade", "keep-alive, upgrade"]));
    add("Upgrade", random.pick(["SPDY/3.1", "websocket"]));
  }
  if (random.oneIn(3000))
    fields.push(`x-long: ${"x".repeat(random.between(30_000, (1 << 20) - 8192))}${eol}`);
  shuffle(random, fields);
  const start = `${method} ${targetOf(random)} HTTP/1.${is10 ? 0 : 1}${eol}`;
  return {
    text: start + fields.join("") + eol + (isChunked ? chunkedOf(random, body) : body),
    closes,
  };
}

function shuffle(random: Random, texts: string[]): void {
  for (let last = texts.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const swapped = texts[last] ?? "";
    texts[last] = texts[other] ?? "";
    texts[other] = swapped;
  }
}

export interface ResponseText {
  readonly text: string;
  readonly isHead: boolean;
  readonly maySwitch: boolean;
  /** Nothing may follow. */
  readonly closes: boolean;
}

const reasons = ["OK", "", "Created", "Not Found", "a b\tc \u00e4"] as const;

/** One response, with the informational ones before it, to a request that fits. */
export function responseOf(random: Random): ResponseText {
  const isHead = random.oneIn(8);
  if (random.oneIn(25)) return switched(random);
  let text = "";
  while (random.oneIn(8)) text += informational(random);
  const is10 = random.oneIn(15);
  const status = random.pick([200, 200, 200, 201, 204, 304, 403, 404, 409, 410, 429, 500, 503]);
  const isBodiless = isHead || status === 204 || status === 304;
  const framing = random.below(5);
  const isChunked = framing <= 1 && !is10 && status !== 204;
  const hasLength = !isChunked && (framing <= 3 || status === 204);
  const body = bodyOf(random);
  const fields: string[] = [];
  const add = (name: string, value: string): void => {
    fields.push(`${caseOf(random, name)}:${random.pick([" ", " ", "", "\t"])}${value}${eol}`);
  };
  if (isChunked) add("Transfer-Encoding", random.oneIn(5) ? "Chunked" : "chunked");
  if (hasLength && status !== 204) add("Content-Length", String(body.length));
  if (random.oneIn(2)) add("Content-Type", "application/json");
  if (random.oneIn(6)) add("Content-Encoding", random.pick(["gzip", "identity"]));
  if (random.oneIn(3)) add("Audit-Id", random.text(hexAlphabet, 12));
  while (random.oneIn(3)) fields.push(fieldOf(random));
  const asksClose = is10 ? !random.oneIn(3) : random.oneIn(12);
  if (is10 !== asksClose) add("Connection", asksClose ? random.pick(["close", "x, Close"]) : "keep-alive");
  shuffle(random, fields);
  const isUntilClose = !isBodiless && !isChunked && !hasLength;
  const reason = random.pick(reasons);
  text += `HTTP/1.${is10 ? 0 : 1} ${status}${reason === "" && random.oneIn(2) ? "" : ` ${reason}`}${eol}`;
  text += fields.join("") + eol;
  if (!isBodiless) text += isChunked ? chunkedOf(random, body) : body;
  return { text, isHead, maySwitch: random.oneIn(10), closes: asksClose || isUntilClose };
}

function informational(random: Random): string {
  const fields = random.oneIn(2) ? fieldOf(random) : "";
  return `HTTP/1.1 ${random.pick(["100 Continue", "103 Early Hints", "102 Processing"])}${eol}${fields}${eol}`;
}

function switched(random: Random): ResponseText {
  return {
    text: `HTTP/1.1 101 Switching Protocols${eol}Connection: Upgrade${eol}Upgrade: SPDY/3.1${eol}${eol}${bodyOf(random)}`,
    isHead: false,
    maySwitch: true,
    closes: true,
  };
}
