/** Paths of the webhooks, as the original serves them. */
export const webhookPaths = {
  pod: "/mutate-pod",
  namespace: "/mutate-namespace",
  resource: "/mutate-resource",
  shardingConfig: "/validate-ctrlmesh-shardingconfig",
  circuitBreaker: "/validate-ctrlmesh-circuitbreaker",
  faultInjection: "/validate-ctrlmesh-faultinjection",
} as const;

/** What the API server waits for a webhook; the handlers give up earlier, to answer with the reason. */
export const webhookTimeoutSeconds = 5;
export const decisionTimeoutMs = 4000;
