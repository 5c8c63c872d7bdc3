import { createSecureServer } from "node:http2";
import { createServer } from "node:https";
import type { Server } from "node:tls";
import type { ApiRequest, ApiResponse } from "./rest/exchange.ts";

export interface ServingTls {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Client certificates of this authority name users. */
  readonly caPem: string;
}

export type Answer = (request: ApiRequest, response: ApiResponse) => void;

/** Of one connection and of one stream; kube-apiserver's figures (apiserver `pkg/server/secure_serving.go`). */
const streamLimit = 100;
const streamWindowBytes = 256 * 1024;
const headerLimitBytes = 64 * 1024;
const pairLimit = 1_000;

/**
 * An HTTPS server that is not listening yet.
 *
 * @param http2 whether HTTP/2 is offered by ALPN (RFC 7301), before HTTP/1.1
 * @param requestTimeoutMs for a whole request to arrive
 */
export function createHttpServer(
  tls: ServingTls,
  http2: boolean,
  requestTimeoutMs: number,
  answer: Answer,
): Server {
  const tlsOptions = {
    cert: tls.certificatePem,
    key: tls.privateKeyPem,
    ca: tls.caPem,
    requestCert: true,
    // Who comes without a certificate, or with a strange one, may still have a token.
    rejectUnauthorized: false,
  };
  const http1Options = {
    maxHeaderSize: headerLimitBytes,
    keepAliveTimeout: 120_000,
    requestTimeout: requestTimeoutMs,
  };
  if (!http2) return createServer({ ...tlsOptions, ...http1Options, ALPNProtocols: ["http/1.1"] }, answer);
  const server = createSecureServer(
    {
      ...tlsOptions,
      ...http1Options,
      allowHTTP1: true,
      maxHeaderListPairs: pairLimit,
      settings: {
        maxConcurrentStreams: streamLimit,
        initialWindowSize: streamWindowBytes,
        maxFrameSize: streamWindowBytes,
        maxHeaderListSize: headerLimitBytes,
      },
    },
    answer,
  );
  server.on("session", (session) => {
    // The connection's own window has to be grown by hand: else one slow body holds up all streams.
    session.setLocalWindowSize(streamLimit * streamWindowBytes);
    session.on("error", () => {});
  });
  return server;
}
