import type { KubeObject } from "../kube-object.ts";
import { negotiate, type Representation, represent } from "../representation.ts";
import type { ResourceDefinition } from "../resource.ts";
import type { Reviews } from "../reviews.ts";
import type { ServerState } from "../server-state.ts";
import { type Exchange, sendJson } from "./exchange.ts";
import type { WatchSettings } from "./watch.ts";

/** What requests for resources need. */
export interface ResourceServer {
  readonly state: ServerState;
  readonly reviews: Reviews;
  readonly watchSettings: WatchSettings;
}

/** A namespace is its own namespace for request info, but stored without one. */
export function namespaceOf({ info }: Exchange, definition: ResourceDefinition): string {
  return definition.namespaced ? info.namespace : "";
}

/** Answers with one object in the form that the client accepts. @throws StatusError 406 */
export function sendObject(
  { state }: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
  status: number,
  object: KubeObject,
): void {
  const representation = representationOf(exchange);
  sendJson(exchange, status, represent(representation, definition, object, state.clock.now()));
}

/** @throws StatusError 406 */
export function representationOf({ request, query }: Exchange): Representation {
  return negotiate(request.headers.accept, query);
}
