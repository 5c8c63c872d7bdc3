import type { RequestInfo } from "#kube/wire/request-info";
import type { AccessAttributes, RbacAuthorizer } from "../auth/rbac.ts";
import { StatusError } from "../status-error.ts";
import type { User } from "../user.ts";

/** @throws StatusError 403, worded as the API server does */
export function authorize(authorizer: RbacAuthorizer, user: User, info: RequestInfo): void {
  const attributes = attributesOf(info);
  if (authorizer.decide(user, attributes).allowed) return;
  throw denied(user, attributes);
}

function attributesOf(info: RequestInfo): AccessAttributes {
  const { isResource, verb, path } = info;
  if (!isResource) return { isResource: false, verb, path };
  const { apiGroup: group, resource, subresource, name } = info;
  // The name of a namespace is also its namespace when asked about it alone; roles inside may then grant it.
  return { isResource: true, verb, group, resource, subresource, namespace: info.namespace, name };
}

function denied({ username }: User, attributes: AccessAttributes): StatusError {
  if (!attributes.isResource) {
    const message = `forbidden: User ${JSON.stringify(username)} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
    return new StatusError({ code: 403, reason: "Forbidden", message, details: {} });
  }
  const { verb, group, resource, subresource, namespace, name } = attributes;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  const qualified = group === "" ? resource : `${resource}.${group}`;
  const subject = name === "" ? qualified : `${qualified} ${JSON.stringify(name)}`;
  const message = `${subject} is forbidden: User ${JSON.stringify(username)} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`;
  const details = { ...(name === "" ? {} : { name }), ...(group === "" ? {} : { group }), kind: resource };
  return new StatusError({ code: 403, reason: "Forbidden", message, details });
}
