import type { Authenticator } from "./auth/authenticate.ts";
import type { AccessAttributes, RbacAuthorizer } from "./auth/rbac.ts";
import type { TokenIssuer } from "./auth/tokens.ts";
import { invalidValue } from "./field-errors.ts";
import { isObject, type JsonObject, numberOf, objectOf, stringOf, stringsOf } from "./json.ts";
import type { KubeObject } from "./kube-object.ts";
import { conflict, invalid, notFound } from "./status-error.ts";
import type { Storage } from "./storage.ts";
import { printUser, type User } from "./user.ts";

/** Objects that are answered and never stored: TokenReview, the access reviews, TokenRequest. */
export class Reviews {
  readonly #authenticator: Authenticator;
  readonly #authorizer: RbacAuthorizer;
  readonly #issuer: TokenIssuer;
  readonly #storage: Storage;

  constructor(
    authenticator: Authenticator,
    authorizer: RbacAuthorizer,
    issuer: TokenIssuer,
    storage: Storage,
  ) {
    this.#authenticator = authenticator;
    this.#authorizer = authorizer;
    this.#issuer = issuer;
    this.#storage = storage;
  }

  /** The review with its status filled in; undefined when the kind is none. */
  answer(review: KubeObject, user: User): KubeObject | undefined {
    const spec = objectOf(review.spec);
    switch (review.kind) {
      case "TokenReview":
        return withStatus(review, this.#tokenStatus(spec));
      case "SelfSubjectReview":
        return withStatus(review, { userInfo: printUser(user) });
      case "SelfSubjectAccessReview":
        return withStatus(review, this.#accessStatus(review, user, spec));
      case "SubjectAccessReview":
        return withStatus(review, this.#accessStatus(review, subjectOf(spec), spec));
      case "SelfSubjectRulesReview":
        return withStatus(review, this.#rulesStatus(user, stringOf(spec.namespace)));
      default:
        return undefined;
    }
  }

  #tokenStatus(spec: JsonObject): JsonObject {
    const asked = stringsOf(spec.audiences);
    const answer = this.#authenticator.checkToken(
      stringOf(spec.token),
      asked.length === 0 ? [this.#issuer.issuer] : asked,
    );
    if (answer === undefined) return { user: {}, error: "invalid bearer token" };
    return { authenticated: true, user: printUser(answer.user), audiences: answer.audiences };
  }

  #accessStatus(review: KubeObject, user: User, spec: JsonObject): JsonObject {
    const attributes = attributesOf(spec);
    if (attributes === undefined) {
      throw invalid(review.kind, "authorization.k8s.io", "", [
        invalidValue(
          "spec.resourceAttributes",
          null,
          "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
      ]);
    }
    const { allowed, reason } = this.#authorizer.decide(user, attributes);
    return { allowed, ...(reason === "" ? {} : { reason }) };
  }

  #rulesStatus(user: User, namespace: string): JsonObject {
    const rules = this.#authorizer.rulesFor(user, namespace);
    return {
      resourceRules: rules
        .filter(({ nonResourceURLs }) => nonResourceURLs.length === 0)
        .map(({ verbs, apiGroups, resources, resourceNames }) => ({
          verbs,
          apiGroups,
          resources,
          ...(resourceNames.length === 0 ? {} : { resourceNames }),
        })),
      nonResourceRules: rules
        .filter(({ nonResourceURLs }) => nonResourceURLs.length > 0)
        .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: false,
    };
  }

  /**
   * POST serviceaccounts/<name>/token.
   *
   * @throws StatusError 404 for the account or the bound object, 409 for another UID of it, 422 for a bad lifetime
   */
  requestToken(request: KubeObject, namespace: string, name: string): KubeObject {
    const account = this.#storage.get("serviceaccounts", `${namespace}/${name}`);
    if (account === undefined) throw notFound({ group: "", resource: "serviceaccounts" }, name);
    const spec = objectOf(request.spec);
    const expirationSeconds = spec.expirationSeconds === undefined ? 3600 : numberOf(spec.expirationSeconds);
    if (expirationSeconds < 600) {
      throw invalid("TokenRequest", "authentication.k8s.io", "", [
        invalidValue(
          "spec.expirationSeconds",
          expirationSeconds,
          "may not specify a duration less than 10 minutes",
        ),
      ]);
    }
    const audiences = stringsOf(spec.audiences);
    const { token, expirySeconds } = this.#issuer.issue({
      namespace,
      serviceAccount: name,
      serviceAccountUid: stringOf(account.object.metadata.uid),
      audiences: audiences.length === 0 ? [this.#issuer.issuer] : audiences,
      expirationSeconds,
      bound: this.#boundObject(spec.boundObjectRef, namespace, name),
    });
    const expirationTimestamp = `${new Date(expirySeconds * 1000).toISOString().slice(0, 19)}Z`;
    return {
      ...request,
      metadata: { name, namespace },
      spec: {
        ...spec,
        audiences: audiences.length === 0 ? [this.#issuer.issuer] : audiences,
        expirationSeconds,
      },
      status: { token, expirationTimestamp },
    };
  }

  #boundObject(reference: unknown, namespace: string, account: string) {
    if (!isObject(reference)) return undefined;
    const { kind } = reference;
    if (kind !== "Pod" && kind !== "Secret" && kind !== "Node") {
      throw invalid("TokenRequest", "authentication.k8s.io", "", [
        invalidValue("spec.boundObjectRef.kind", kind, "cannot bind token to object of this kind"),
      ]);
    }
    const collection = { Pod: "pods", Secret: "secrets", Node: "nodes" }[kind];
    const name = stringOf(reference.name);
    const stored = this.#storage.get(collection, kind === "Node" ? name : `${namespace}/${name}`);
    if (stored === undefined) throw notFound({ group: "", resource: collection }, name);
    const uid = stringOf(stored.object.metadata.uid);
    const asked = stringOf(reference.uid);
    if (asked !== "" && asked !== uid) {
      const why = `the UID in the bound object reference (${asked}) does not match the UID in record. The object might have been deleted and then recreated`;
      throw conflict({ group: "", resource: collection }, name, why);
    }
    const podAccount = stringOf(objectOf(stored.object.spec).serviceAccountName);
    if (kind === "Pod" && podAccount !== account) {
      throw invalid("TokenRequest", "authentication.k8s.io", "", [
        invalidValue(
          "spec.boundObjectRef",
          name,
          `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name`,
        ),
      ]);
    }
    return { kind, name, uid } as const;
  }
}

function withStatus(review: KubeObject, status: JsonObject): KubeObject {
  const { managedFields: _fields, ...metadata } = review.metadata;
  return { ...review, metadata, status };
}

function subjectOf(spec: JsonObject): User {
  const extra = Object.fromEntries(
    Object.entries(objectOf(spec.extra)).map(([key, values]) => [key, stringsOf(values)]),
  );
  return { username: stringOf(spec.user), uid: stringOf(spec.uid), groups: stringsOf(spec.groups), extra };
}

function attributesOf({
  resourceAttributes,
  nonResourceAttributes,
}: JsonObject): AccessAttributes | undefined {
  if (isObject(resourceAttributes)) {
    const { verb, group, resource, subresource, namespace, name } = resourceAttributes;
    return {
      isResource: true,
      verb: stringOf(verb),
      group: stringOf(group),
      resource: stringOf(resource),
      subresource: stringOf(subresource),
      namespace: stringOf(namespace),
      name: stringOf(name),
    };
  }
  if (!isObject(nonResourceAttributes)) return undefined;
  return {
    isResource: false,
    verb: stringOf(nonResourceAttributes.verb),
    path: stringOf(nonResourceAttributes.path),
  };
}
