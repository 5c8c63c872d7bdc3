import type { LoadReport } from "../record.ts";
import type { View } from "./scene.ts";

/** From the soak to its load. Each is answered by "done" with the same number when it has taken effect. */
export type Order =
  | { readonly kind: "start"; readonly settings: LoadSettings }
  /** Before the manager sends a snapshot, and behind its ack. */
  | { readonly kind: "view sent"; readonly view: View }
  | { readonly kind: "view acked" }
  | { readonly kind: "outage begins"; readonly agoMs: number }
  | { readonly kind: "outage ends" }
  | { readonly kind: "token"; readonly token: string }
  /** Close every connection until "go on". */
  | { readonly kind: "rest" }
  | { readonly kind: "go on" }
  | { readonly kind: "report" };

export interface LoadSettings {
  readonly port: number;
  readonly caPem: string;
  readonly token: string;
  readonly seed: number;
  readonly requestsPerSecond: number;
  readonly watches: number;
  readonly downstream: Downstream;
}

export type Downstream = "http1" | "http2" | "mixed";

export interface NumberedOrder {
  readonly number: number;
  readonly order: Order;
}

export interface Done {
  readonly number: number;
  readonly report: LoadReport;
}
