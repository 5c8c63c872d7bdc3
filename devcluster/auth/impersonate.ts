import type { IncomingHttpHeaders } from "node:http";
import { badRequest, forbidden } from "../status-error.ts";
import { authenticatedGroup, type User } from "../user.ts";
import type { RbacAuthorizer } from "./rbac.ts";

const extraPrefix = "impersonate-extra-";

/**
 * The user that a request wants to be taken for by its Impersonate headers (`kubectl --as`), else the sender.
 *
 * @throws StatusError 400 for headers without a user, 403 when the sender may not impersonate
 */
export function impersonated(headers: IncomingHttpHeaders, sender: User, authorizer: RbacAuthorizer): User {
  const username = headerOf(headers, "impersonate-user")[0] ?? "";
  const groups = headerOf(headers, "impersonate-group");
  const uid = headerOf(headers, "impersonate-uid")[0] ?? "";
  const extra: Record<string, string[]> = {};
  for (const name of Object.keys(headers))
    if (name.startsWith(extraPrefix))
      extra[decodeURIComponent(name.slice(extraPrefix.length))] = headerOf(headers, name);
  if (username === "") {
    if (groups.length > 0 || uid !== "" || Object.keys(extra).length > 0)
      throw badRequest("requested groups, UID or extra without impersonating a user");
    return sender;
  }
  const asked: [resource: string, name: string][] = [
    ...subjectOf(username),
    ...groups.map((group): [string, string] => ["groups", group]),
    ...(uid === "" ? [] : [["uids", uid] satisfies [string, string]]),
    ...Object.values(extra).flatMap((values) =>
      values.map((value): [string, string] => ["userextras", value]),
    ),
  ];
  for (const [resource, name] of asked) mustImpersonate(authorizer, sender, resource, name);
  const account = serviceAccount.exec(username);
  const own = account === null ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account[1]}`];
  const all = [...(groups.length === 0 ? own : groups), authenticatedGroup];
  const isAnonymous = username === "system:anonymous";
  return { username, uid, extra, groups: isAnonymous ? ["system:unauthenticated"] : [...new Set(all)] };
}

const serviceAccount = /^system:serviceaccount:([^:]+):([^:]+)$/;

function subjectOf(username: string): [resource: string, name: string][] {
  const account = serviceAccount.exec(username);
  return account === null ? [["users", username]] : [["serviceaccounts", account[2] ?? ""]];
}

function mustImpersonate(authorizer: RbacAuthorizer, sender: User, resource: string, name: string): void {
  const attributes = {
    isResource: true,
    verb: "impersonate",
    group: "",
    resource,
    subresource: "",
    namespace: "",
    name,
  } as const;
  if (authorizer.decide(sender, attributes).allowed) return;
  const why = `User ${JSON.stringify(sender.username)} cannot impersonate resource ${JSON.stringify(resource)} in API group "" at the cluster scope`;
  throw forbidden({ group: "", resource }, name, why);
}

function headerOf(headers: IncomingHttpHeaders, name: string): string[] {
  const value = headers[name];
  if (value === undefined) return [];
  // Node joins repeated headers that it does not know.
  return [value].flat().flatMap((text) => text.split(", "));
}
