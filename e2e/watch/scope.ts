import type { IsSeen } from "./etcd-history.ts";
import { isShown, type Resource, type View } from "./view.ts";

/** What a client asks for itself, before any shard's view is put on it. */
export interface Scope {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  /** Value of the label "app". */
  readonly app: string | undefined;
}

export function pathOf({ resource, namespace }: Scope): string {
  return namespace === undefined ? `/api/v1/${resource}` : `/api/v1/namespaces/${namespace}/${resource}`;
}

export function queryOf({ app }: Scope, parameters: Readonly<Record<string, string>>): string {
  return new URLSearchParams({
    ...(app === undefined ? {} : { labelSelector: `app=${app}` }),
    ...parameters,
  }).toString();
}

/** What of the truth a client may see that asks for a scope under a view. */
export function seenBy(scope: Scope, view: View): IsSeen {
  return ({ namespace, labels }) =>
    (scope.namespace === undefined || scope.namespace === namespace) &&
    (scope.app === undefined || scope.app === labels.app) &&
    isShown(view, labels);
}
