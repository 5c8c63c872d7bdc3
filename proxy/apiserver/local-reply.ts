import { STATUS_CODES } from "node:http";
import { contentTypes, encodingFor } from "#kube/wire/media-type";
import { encodeStatus, type KubernetesStatus } from "#kube/wire/status";
import type { Outlet } from "../http1/outlet.ts";

/** What shapes a local answer besides its Status. */
export interface ReplyFacts {
  readonly accept: string | undefined;
  /** HEAD: the answer to GET without its body (RFC 9110 section 9.3.2). */
  readonly isHeadRequest: boolean;
  /** Tells the client that the connection ends behind this answer. */
  readonly closes: boolean;
}

/**
 * Puts an answer of the proxy's own: a Kubernetes Status in the encoding that the client asked for. Only when no
 * response is outstanding on the connection.
 */
export function putReply(outlet: Outlet, status: KubernetesStatus, facts: ReplyFacts): void {
  const encoding = encodingFor(facts.accept);
  const body = encodeStatus(status, encoding);
  const retryAfter = status.details?.retryAfterSeconds;
  outlet.putText(
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? "Error"}\r\n` +
      `Cache-Control: no-cache, private\r\n` +
      `Content-Type: ${contentTypes[encoding]}\r\n` +
      `Content-Length: ${body.length}\r\n` +
      (retryAfter === undefined ? "" : `Retry-After: ${retryAfter}\r\n`) +
      (facts.closes ? "Connection: close\r\n" : "") +
      "\r\n",
  );
  if (!facts.isHeadRequest) outlet.put(body, 0, body.length);
}
