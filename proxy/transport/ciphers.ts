/**
 * AES-128-GCM first on both sides: encryption is most of the data plane's CPU time, and it needs a third fewer
 * rounds than the AES-256 that Node prefers. No cipher without forward secrecy and authentication.
 */
export const cipherPreference = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
].join(":");

/**
 * Key exchange with the operator, which never leaves the pod: without the post-quantum half that OpenSSL prefers since
 * 3.5 and keeps 6 KiB of keys for with each connection. Towards the API server it stays.
 */
export const loopbackGroups = "X25519:P-256:P-384";

/** TCP keepalive probes start after this much silence; dead peers are found by them, not by timeouts of ours. */
export const keepAliveInitialDelayMs = 15_000;
