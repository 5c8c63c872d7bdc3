import { containers } from "#api/names";
import type { Container, Pod } from "./pod.ts";

/** Containers of a pod, told apart by whose they are. */

/** In the order in which they start. */
export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

/** The proxy of an earlier call. */
export function isProxy({ name }: Pick<Container, "name">): boolean {
  return name === containers.proxy;
}

/** The init container of mode iptables, of an earlier call. */
export function isInit({ name }: Pick<Container, "name">): boolean {
  return name === containers.init;
}

/** One of the user, or of another webhook. */
export function isTheirs(container: Pick<Container, "name">): boolean {
  return !isProxy(container) && !isInit(container);
}
