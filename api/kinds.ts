import { ownershipLedgerDefinition } from "./ownership-ledger.ts";
import type { KindDefinition } from "./schema/kind.ts";
import { shardingConfigDefinition } from "./sharding-config.ts";

/** Every kind of ours, for those who install or serve them. */
export const kindDefinitions: readonly KindDefinition[] = [
  shardingConfigDefinition,
  ownershipLedgerDefinition,
];
