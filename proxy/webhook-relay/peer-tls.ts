import { createHash } from "node:crypto";
import { Agent } from "node:https";
import type { PeerCertificate, TlsOptions } from "node:tls";
import { CtrlmeshError } from "#api/errors";

/**
 * TLS between the pods of a group: version 1.3 with a pre-shared key and ephemeral Diffie-Hellman (RFC 8446, section
 * 2.2), and no certificate on either side. So the handshake itself proves both that the caller belongs to the group
 * and that the pod at the address does, which no header could, and there is nothing to be had without the key.
 */

/** Says which key, so that the one before it is taken too while a change is on its way to all pods. */
function identityOf(key: Buffer): string {
  return `ctrlmesh-webhook-relay ${createHash("sha256").update("identity").update(key).digest("hex").slice(0, 16)}`;
}

/** A key from the callback is used with SHA-256 only. */
const ciphers = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
const version = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
const idleSocketsLimit = 4;

/** For the listener; `keys` is asked at each connection for those that are taken. */
export function peerServerOptions(keys: () => readonly Buffer[]): TlsOptions {
  return {
    ...version,
    ciphers,
    pskCallback: (_socket, claimed) => keys().find((key) => identityOf(key) === claimed) ?? null,
  };
}

/** Connections to other pods of the group, kept for the next review. To be destroyed when the key changes. */
export function peerAgent(key: Buffer): Agent {
  const identity = identityOf(key);
  return new Agent({
    ...version,
    ciphers,
    keepAlive: true,
    maxFreeSockets: idleSocketsLimit,
    // A ticket would outlive the key that it was given for.
    maxCachedSessions: 0,
    pskCallback: () => ({ psk: key, identity }),
    checkServerIdentity: refuseCertificates,
  });
}

/** With a pre-shared key there is none; a server that shows one has not proven to know the key. */
function refuseCertificates(host: string, { raw }: PeerCertificate): Error | undefined {
  if (raw === undefined) return undefined;
  return new CtrlmeshError("UPSTREAM_UNREACHABLE", {
    what: "the pod did not prove that it belongs to the group",
    where: host,
  });
}
