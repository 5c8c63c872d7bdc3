import type { HostAndPort } from "#runtime/setting-types";
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
  /** A container that has to end before proxy and operator start. */
  readonly init?: Container;
  /** Where the proxy listens besides 127.0.0.1:5443. */
  readonly alsoListen?: readonly HostAndPort[];
}

export interface RoutedContainer {
  readonly container: Container;
  /** Whether a kubeconfig flag names our file now. */
  readonly kubeconfigFlag: boolean;
}

/** @throws INJECTION_REFUSED when the pod can't be run in this mode */
export type ModeFactory = (request: InjectionRequest, pod: Pod) => Mode;
