/** Ports of all parts (`design.md` section 3) and the user that the proxy runs as. */
export const ports = {
  proxyApiserver: 5443,
  proxyEgress: 15002,
  proxyWebhook: 5445,
  proxyWebhookPeer: 5446,
  proxyAdmin: 5441,
  managerControl: 8071,
  managerWebhook: 9443,
  managerHttp: 3000,
  mesh: 9102,
  broker: 8081,
  meshNodeIroh: 11204,
} as const;

export const proxyUid = 1359;
