import { createHash, timingSafeEqual } from "node:crypto";
import { TLSSocket } from "node:tls";
import { stringOf } from "../json.ts";
import type { ApiRequest } from "../rest/exchange.ts";
import { unauthorized } from "../status-error.ts";
import type { Storage } from "../storage.ts";
import { anonymous, authenticatedGroup, type User } from "../user.ts";
import type { TokenClaims, TokenIssuer } from "./tokens.ts";

/** A token that is known from the start, like a line of `--token-auth-file`. */
export interface StaticToken {
  readonly token: string;
  readonly user: User;
}

export interface TokenAnswer {
  readonly user: User;
  /** Those of the token that were asked for. */
  readonly audiences: readonly string[];
}

/** Finds out who sends a request. */
export class Authenticator {
  readonly #staticTokens: readonly StaticToken[];
  readonly #issuer: TokenIssuer;
  readonly #storage: Storage;

  constructor(staticTokens: readonly StaticToken[], issuer: TokenIssuer, storage: Storage) {
    this.#staticTokens = staticTokens;
    this.#issuer = issuer;
    this.#storage = storage;
  }

  /**
   * By client certificate, then by bearer token; without either it is system:anonymous.
   *
   * @throws StatusError 401 for a token that is no good
   */
  authenticate(request: ApiRequest): User {
    const header = request.headers.authorization;
    const byCertificate = certificateUser(request);
    if (byCertificate !== undefined) return byCertificate;
    if (header === undefined) return anonymous;
    const [, token = ""] = /^Bearer +(\S+) *$/i.exec(header) ?? [];
    const answer = this.checkToken(token, [this.#issuer.issuer]);
    if (answer === undefined) throw unauthorized();
    return answer.user;
  }

  /** @param audiences at least one of them must be the token's; static tokens have every audience */
  checkToken(token: string, audiences: readonly string[]): TokenAnswer | undefined {
    const known = this.#staticTokens.find((each) => sameText(each.token, token));
    if (known !== undefined) return { user: withAuthenticated(known.user), audiences };
    const claims = this.#issuer.check(token);
    if (claims === undefined || !this.#isAlive(claims)) return undefined;
    const common = audiences.filter((audience) => claims.audiences.includes(audience));
    return common.length === 0 ? undefined : { user: serviceAccountUser(claims), audiences: common };
  }

  /** The account, and the object that the token is bound to, must still be the same ones. */
  #isAlive({ namespace, serviceAccount, serviceAccountUid, bound }: TokenClaims): boolean {
    if (this.#uidOf("serviceaccounts", `${namespace}/${serviceAccount}`) !== serviceAccountUid) return false;
    if (bound === undefined) return true;
    const key = bound.kind === "Node" ? bound.name : `${namespace}/${bound.name}`;
    const collection = { Pod: "pods", Secret: "secrets", Node: "nodes" }[bound.kind];
    return this.#uidOf(collection, key) === bound.uid;
  }

  #uidOf(collection: string, key: string): string {
    return stringOf(this.#storage.get(collection, key)?.object.metadata.uid);
  }
}

function certificateUser(request: ApiRequest): User | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  if (subject === undefined) return undefined;
  const username = [subject.CN].flat()[0] ?? "";
  if (username === "") return undefined;
  const groups = [subject.O].flat().filter((group) => typeof group === "string");
  return withAuthenticated({ username, uid: "", groups, extra: {} });
}

function serviceAccountUser({
  namespace,
  serviceAccount,
  serviceAccountUid,
  tokenId,
  bound,
}: TokenClaims): User {
  const extra: Record<string, string[]> = {
    "authentication.kubernetes.io/credential-id": [`JTI=${tokenId}`],
  };
  if (bound !== undefined) {
    const kind = bound.kind.toLowerCase();
    extra[`authentication.kubernetes.io/${kind}-name`] = [bound.name];
    extra[`authentication.kubernetes.io/${kind}-uid`] = [bound.uid];
  }
  return {
    username: `system:serviceaccount:${namespace}:${serviceAccount}`,
    uid: serviceAccountUid,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, authenticatedGroup],
    extra,
  };
}

function withAuthenticated(user: User): User {
  return user.groups.includes(authenticatedGroup)
    ? user
    : { ...user, groups: [...user.groups, authenticatedGroup] };
}

/** Compares digests, so that the time taken tells nothing about the known token. */
function sameText(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
