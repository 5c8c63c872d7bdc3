/**
 * Upgrades (exec, attach and port-forward over SPDY or WebSocket, watches over WebSocket): the request goes
 * upstream like any other, selector included, and the connection becomes a raw tunnel only when the API server
 * has answered 101. After any other answer it is HTTP as before, so that the next list on it is filtered.
 */

/**
 * Why an upgrade is refused, undefined when it may go upstream. Behind a tunnel nothing is parsed any more, so a
 * protocol that carries further API requests (cleartext HTTP/2, another HTTP, TLS) would go round every limit.
 *
 * @param protocols value of the Upgrade header
 */
export function refusedUpgrade(protocols: string): string | undefined {
  for (const part of protocols.toLowerCase().split(",")) {
    const protocol = part.trim();
    const name = protocol.split("/", 1)[0] ?? "";
    if (name === "h2c" || name === "h2" || name === "http" || name === "tls") {
      return `the upgrade to ${JSON.stringify(protocol)} is not served, only those of exec, attach, port-forward and watch are`;
    }
  }
  return undefined;
}
