import type { JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { ResourceDefinition } from "../resource.ts";
import type { User } from "../user.ts";

/** One write as admission sees it. */
export interface AdmissionAttributes {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly definition: ResourceDefinition;
  readonly subresource: string;
  readonly namespace: string;
  /** "" before a name is generated, and for deletecollection. */
  readonly name: string;
  /** Absent for DELETE. */
  readonly object: KubeObject | undefined;
  /** Absent for CREATE. */
  readonly previous: KubeObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
  readonly options: JsonObject;
  /** Texts for Warning headers; admission adds to them. */
  readonly warnings: string[];
  readonly signal: AbortSignal;
}

/** One step of admission. Both parts throw a StatusError to refuse. */
export interface AdmissionStep {
  /** Returns the object as it goes on; may change nothing. */
  mutate?(attributes: AdmissionAttributes): Promise<KubeObject | undefined>;
  validate?(attributes: AdmissionAttributes): Promise<void>;
}
