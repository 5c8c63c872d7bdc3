import { STATUS_CODES } from "node:http";
import { contentTypes, encodingFor } from "#kube/wire/media-type";
import { encodeStatus, type KubernetesStatus } from "#kube/wire/status";
import type { Outlet } from "../transport/outlet.ts";

/** An answer of the proxy's own, before any protocol's framing. */
export interface LocalReply {
  /** HTTP status. */
  readonly status: number;
  /** Header fields, named as HTTP/1.1 spells them. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** What shapes a local answer on HTTP/1.1 besides its Status. */
export interface ReplyFacts {
  readonly accept: string | undefined;
  /** HEAD: the answer to GET without its body (RFC 9110 section 9.3.2). */
  readonly isHeadRequest: boolean;
  /** Tells the client that the connection ends behind this answer. */
  readonly closes: boolean;
}

/** A Kubernetes Status in the encoding that the client asked for. */
export function localReply(status: KubernetesStatus, accept: string | undefined): LocalReply {
  const encoding = encodingFor(accept);
  const body = encodeStatus(status, encoding);
  const retryAfter = status.details?.retryAfterSeconds;
  return {
    status: status.code,
    fields: [
      ["Cache-Control", "no-cache, private"],
      ["Content-Type", contentTypes[encoding]],
      ["Content-Length", String(body.length)],
      ...(retryAfter === undefined ? [] : [["Retry-After", String(retryAfter)] as const]),
    ],
    body,
  };
}

/** Puts a local answer into an HTTP/1.1 connection. Only when no response is outstanding on it. */
export function putReply(
  outlet: Outlet,
  status: KubernetesStatus,
  { accept, isHeadRequest, closes }: ReplyFacts,
): void {
  const { fields, body } = localReply(status, accept);
  let head = `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? "Error"}\r\n`;
  for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
  outlet.putText(`${head}${closes ? "Connection: close\r\n" : ""}\r\n`);
  if (!isHeadRequest) outlet.put(body, 0, body.length);
}
