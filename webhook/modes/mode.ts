import type { InjectionRequest } from "../injection-request.ts";
import type { Container, Pod, Volume } from "../pod.ts";

/** One way to lead the operator's containers to the proxy. Pure; applying it twice changes nothing more. */
export interface Mode {
  /** Volumes that its containers mount. */
  volumes(): readonly Volume[];
  /**
   * @param where path of the container, for refusals
   * @throws INJECTION_REFUSED
   */
  route(container: Container, pod: Pod, where: string): RoutedContainer;
}

export interface RoutedContainer {
  readonly container: Container;
  /** Whether a kubeconfig flag names our file now. */
  readonly kubeconfigFlag: boolean;
}

export type ModeFactory = (request: Pick<InjectionRequest, "namespace">) => Mode;
