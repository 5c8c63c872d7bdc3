import type { KubeClient } from "#kube/client/client";
import type { NamespaceInventory } from "../inventory.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import type { ServedKinds } from "../served-kinds.ts";
import type { CheckOutcome } from "./finding.ts";

/** All that the checks look at. What is read once is read before the first of them. */
export interface CheckContext {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  readonly settings: MeshSettings;
  /** Empty where our kinds are not installed. */
  readonly inventory: readonly NamespaceInventory[];
  readonly served: ServedKinds;
  /** The API server's clock at the start, in milliseconds since the epoch; undefined where it did not say. */
  readonly serverNowMs: number | undefined;
}

export interface Check {
  readonly name: string;
  /** before: makes sense on a cluster without ctrlmesh. after: looks at what the installation made. */
  readonly phases: readonly ("before" | "after")[];
  readonly run: (context: CheckContext) => Promise<CheckOutcome>;
}
