import { anyApplicationDefinition } from "./any-application.ts";
import { circuitBreakerDefinition } from "./circuit-breaker.ts";
import { faultInjectionDefinition } from "./fault-injection.ts";
import { managerStateDefinition } from "./manager-state.ts";
import { meshPeerDefinition } from "./mesh-peer.ts";
import { ownershipLedgerDefinition } from "./ownership-ledger.ts";
import type { KindDefinition } from "./schema/kind.ts";
import { shardingConfigDefinition } from "./sharding-config.ts";

/** Every kind of ours, for those who install or serve them. */
export const kindDefinitions: readonly KindDefinition[] = [
  shardingConfigDefinition,
  circuitBreakerDefinition,
  faultInjectionDefinition,
  managerStateDefinition,
  ownershipLedgerDefinition,
  meshPeerDefinition,
  anyApplicationDefinition,
];
