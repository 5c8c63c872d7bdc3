import { randomUUID } from "node:crypto";
import { type IncomingMessage, ServerResponse } from "node:http";
import { type Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { gzipSync } from "node:zlib";
import type { RequestInfo } from "#kube/wire/request-info";
import type { StatusError } from "../status-error.ts";
import type { User } from "../user.ts";

/** A request of HTTP/1.1 or HTTP/2. */
export type ApiRequest = IncomingMessage | Http2ServerRequest;

/** What the answers of both have in common. */
export interface ApiResponse {
  statusCode: number;
  readonly headersSent: boolean;
  /** Bytes that wait for the client to read. */
  readonly writableLength: number;
  setHeader(name: string, value: number | string | string[]): unknown;
  /** Node's types leave it out for HTTP/2; it is there. */
  flushHeaders?(): void;
  write(chunk: string | Uint8Array): boolean;
  end(chunk?: string | Uint8Array): unknown;
  /** HTTP/1.1: cuts the connection. HTTP/2: cuts the stream. */
  destroy(): unknown;
  once(event: "close" | "drain", listener: () => void): unknown;
  off(event: "close" | "drain", listener: () => void): unknown;
}

/** One request and its answer. */
export interface Exchange {
  readonly request: ApiRequest;
  readonly response: ApiResponse;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly user: User;
  /** Texts for Warning headers. */
  readonly warnings: string[];
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  /** Told once, with the status of the answer. */
  readonly answered: (status: number) => void;
}

/** @param contentType of another than the plain JSON form */
export function sendJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  contentType = "application/json",
): void {
  const pretty = exchange.query.get("pretty");
  const text = JSON.stringify(body, undefined, pretty === "true" || pretty === "1" ? 2 : undefined);
  send(exchange, status, contentType, `${text}\n`);
}

export function sendText(exchange: Exchange, status: number, text: string): void {
  exchange.response.setHeader("x-content-type-options", "nosniff");
  send(exchange, status, "text/plain; charset=utf-8", text);
}

/** Nobody is left to answer: the connection or the stream is gone. */
export function isGone(response: ApiResponse): boolean {
  if (response instanceof Http2ServerResponse) return response.stream.destroyed;
  return response instanceof ServerResponse && response.destroyed;
}

/** Where the client thinks that it is, as HTTP/1.1's Host or HTTP/2's :authority says. */
export function hostOf({ headers }: ApiRequest): string {
  return headers.host ?? String(headers[":authority"] ?? "");
}

export function sendStatus(exchange: Exchange, error: StatusError): void {
  if (exchange.response.headersSent) {
    exchange.response.destroy();
    return;
  }
  if (error.retryAfterSeconds !== undefined)
    exchange.response.setHeader("retry-after", String(error.retryAfterSeconds));
  // The rest of a body that nobody reads must not be taken for the next request.
  if (error.code === 413 && exchange.request.httpVersionMajor === 1)
    exchange.response.setHeader("connection", "close");
  sendJson(exchange, error.code, error.body());
}

/** The head of an answer whose body comes in pieces. */
export function sendHead(exchange: Exchange, status: number, contentType: string): void {
  const { response, answered } = exchange;
  answered(status);
  if (isGone(response)) return;
  response.statusCode = status;
  response.setHeader("content-type", contentType);
  setCommonHeaders(exchange);
  response.flushHeaders?.();
}

function send(exchange: Exchange, status: number, contentType: string, text: string): void {
  const { response, request, answered } = exchange;
  answered(status);
  if (isGone(response)) return;
  response.statusCode = status;
  response.setHeader("content-type", contentType);
  const bytes = encoded(exchange, text);
  response.setHeader("content-length", bytes.length);
  setCommonHeaders(exchange);
  response.end(request.method === "HEAD" ? undefined : bytes);
}

/** Long answers are packed for those who can read it (apiserver's `defaultGzipThresholdBytes`, lowest level). */
function encoded({ response, request }: Exchange, text: string): Buffer {
  const bytes = Buffer.from(text);
  const accepted = String(request.headers["accept-encoding"] ?? "").split(",");
  if (bytes.length < gzipThresholdBytes || !accepted.some((each) => each.trim() === "gzip")) return bytes;
  response.setHeader("content-encoding", "gzip");
  response.setHeader("vary", "Accept-Encoding");
  return gzipSync(bytes, { level: 1 });
}

const gzipThresholdBytes = 128 * 1024;

function setCommonHeaders({ response, warnings }: Exchange): void {
  response.setHeader("audit-id", randomUUID());
  response.setHeader("cache-control", "no-cache, private");
  const texts = [...new Set(warnings)].map((text) => `299 - ${quoted(text)}`);
  if (texts.length > 0) response.setHeader("warning", texts);
}

/** RFC 9110 quoted-string; characters that no header may carry are left out. */
function quoted(text: string): string {
  const printable = Array.from(text, (each) => (each >= " " && each <= "~" ? each : "")).join("");
  return `"${printable.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
