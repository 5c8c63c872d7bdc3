import { createServer, isIPv6, type Server } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { CtrlmeshError } from "#api/errors";
import type { Log } from "#runtime/log";
import { keepAliveInitialDelayMs } from "../transport/ciphers.ts";

/** How sockets of the operator are set up, whichever listener takes them in. */
export const socketOptions = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: keepAliveInitialDelayMs,
} as const;

interface FurtherAddress {
  readonly host: string;
  readonly port: number;
}

/** Errors of a host that has no IPv6, or none on its loopback interface. */
const withoutIpv6 = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];

/**
 * Takes in connections at a further address and hands them to the TLS server, which is the only one: same
 * certificate, same rules, same drain. A pod without IPv6 has no `::1`, and nobody who could dial it.
 *
 * @returns undefined where there is no such address
 * @throws PORT_IN_USE
 */
export function listenAlso(
  { host, port }: FurtherAddress,
  tls: TlsServer,
  log: Log,
): Promise<Server | undefined> {
  const server = createServer(socketOptions, (socket) => void tls.emit("connection", socket));
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (isIPv6(host) && withoutIpv6.includes(cause.code ?? "")) {
        log.warn("not listening where there is no IPv6", { host, port });
        resolve(undefined);
        return;
      }
      reject(new CtrlmeshError("PORT_IN_USE", { what: cause.message, where: `${host}:${port}`, cause }));
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners("error");
      server.on("error", (error) => log.error("listener failed", { error }));
      resolve(server);
    });
  });
}
