import type { KubernetesObject } from "#api/meta";

/** Rights of an account, and what the API server's audit log says that it has used of them. */

interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Role extends KubernetesObject {
  readonly rules?: readonly PolicyRule[];
}

/** One verb on one resource, for one name or for all. */
export interface Right {
  /** "" is the core group. */
  readonly group: string;
  /** With its subresource: "pods/status". */
  readonly resource: string;
  readonly name: string | undefined;
  readonly verb: string;
}

export interface AccountRequest {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly name: string;
  /** HTTP status; 0 for a watch that goes on. */
  readonly status: number;
}

interface AuditEvent {
  readonly verb: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
}

/** Each single right that Roles and ClusterRoles grant. */
export function rightsOf(roles: readonly KubernetesObject[]): readonly Right[] {
  return (roles as readonly Role[]).flatMap(({ rules = [] }) =>
    rules.flatMap(({ apiGroups = [], resources = [], resourceNames, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          (resourceNames ?? [undefined]).flatMap((name) =>
            verbs.map((verb) => ({ group, resource, name, verb })),
          ),
        ),
      ),
    ),
  );
}

/** Requests of one user about objects. @param events as `ControlPlane.auditEvents` gives them */
export function requestsOf(events: readonly unknown[], username: string): readonly AccountRequest[] {
  return events.flatMap((each) => {
    const event = each as AuditEvent; // audit.k8s.io/v1, written by kube-apiserver
    const { objectRef, responseStatus } = event;
    if (event.user?.username !== username || objectRef?.resource === undefined) return [];
    const { apiGroup: group = "", resource, subresource, name = "" } = objectRef;
    return [
      {
        verb: event.verb,
        group,
        resource: subresource === undefined ? resource : `${resource}/${subresource}`,
        name,
        status: responseStatus?.code ?? 0,
      },
    ];
  });
}

/** Whether a request was one that the right allows. An apply that made its object (201) needs the right to create. */
export function isUseOf(right: Right, request: AccountRequest): boolean {
  const isApplied = request.verb === "patch" && request.status === 201 && right.verb === "create";
  return (
    (request.verb === right.verb || isApplied) &&
    request.group === right.group &&
    request.resource === right.resource &&
    (right.name === undefined || request.name === right.name)
  );
}

/** A right for people: "get secrets ctrlmesh-ca". */
export function describeRight({ group, resource, name, verb }: Right): string {
  const kind = group === "" ? resource : `${resource}.${group}`;
  return `${verb} ${kind}${name === undefined ? "" : ` ${name}`}`;
}
