/** What the API server's own log says of the requests of operator pods. */

const podNameExtra = "authentication.kubernetes.io/pod-name";

export interface PodRequest {
  /** Name of the pod to which the request's token is bound. */
  readonly pod: string;
  readonly verb: string;
  readonly resource: string;
  /** "namespace/name"; either may be empty. */
  readonly object: string;
  readonly target: string;
  readonly status: number;
}

/**
 * Requests of one service account, in the order of the log.
 *
 * @param events as `ControlPlane.auditEvents` gives them
 */
export function requestsOf(events: readonly unknown[], account: string): PodRequest[] {
  return events.flatMap((each) => {
    const event = each as AuditEvent; // audit.k8s.io/v1, written by kube-apiserver
    if (event.user?.username !== account) return [];
    const { resource = "", namespace = "", name = "" } = event.objectRef ?? {};
    return [
      {
        pod: event.user.extra?.[podNameExtra]?.[0] ?? "",
        verb: event.verb,
        resource,
        object: `${namespace}/${name}`,
        target: event.requestURI,
        status: event.responseStatus?.code ?? 0,
      },
    ];
  });
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, string[]>> };
  readonly objectRef?: { readonly resource?: string; readonly namespace?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
}
