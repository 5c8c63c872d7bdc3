import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from "node:crypto";
import type { Clock } from "#runtime/clock";
import { at, isObject, type JsonObject, stringOf, stringsOf } from "../json.ts";

/** What a service account token says, signature and times checked. */
export interface TokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
  readonly audiences: readonly string[];
  readonly tokenId: string;
  readonly expirySeconds: number;
  /** The object that the token dies with. */
  readonly bound: BoundObject | undefined;
}

export interface BoundObject {
  readonly kind: "Pod" | "Secret" | "Node";
  readonly name: string;
  readonly uid: string;
}

export interface TokenOrder {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  readonly bound: BoundObject | undefined;
}

/** Clock error that a token's start is forgiven. */
const notBeforeLeewaySeconds = 60;

/** Signs and checks service account tokens: JWTs with ES256, claims as the API server writes them. */
export class TokenIssuer {
  readonly issuer: string;
  readonly #clock: Clock;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;

  constructor(issuer: string, clock: Clock) {
    this.issuer = issuer;
    this.#clock = clock;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
    const spki = publicKey.export({ type: "spki", format: "der" });
    this.#keyId = createHash("sha256").update(spki).digest("base64url");
  }

  issue(order: TokenOrder): { readonly token: string; readonly expirySeconds: number } {
    const now = Math.floor(this.#clock.now() / 1000);
    const expirySeconds = now + order.expirationSeconds;
    const { bound } = order;
    const reference =
      bound === undefined ? {} : { [bound.kind.toLowerCase()]: { name: bound.name, uid: bound.uid } };
    const payload = {
      aud: order.audiences,
      exp: expirySeconds,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace: order.namespace,
        ...reference,
        serviceaccount: { name: order.serviceAccount, uid: order.serviceAccountUid },
      },
      nbf: now,
      sub: `system:serviceaccount:${order.namespace}:${order.serviceAccount}`,
    };
    const head = { alg: "ES256", kid: this.#keyId };
    const signed = `${encode(head)}.${encode(payload)}`;
    const signature = sign("sha256", Buffer.from(signed), {
      key: this.#privateKey,
      dsaEncoding: "ieee-p1363",
    });
    return { token: `${signed}.${signature.toString("base64url")}`, expirySeconds };
  }

  /** undefined: not ours, forged, not valid yet or expired. */
  check(token: string): TokenClaims | undefined {
    const parts = token.split(".");
    const [head = "", payload = "", signature = ""] = parts;
    if (parts.length !== 3 || decode(head).alg !== "ES256") return undefined;
    const key = { key: this.#publicKey, dsaEncoding: "ieee-p1363" } as const;
    if (!verify("sha256", Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url")))
      return undefined;
    const claims = decode(payload);
    const now = this.#clock.now() / 1000;
    if (claims.iss !== this.issuer || typeof claims.exp !== "number" || claims.exp <= now) return undefined;
    if (typeof claims.nbf !== "number" || claims.nbf > now + notBeforeLeewaySeconds) return undefined;
    const own = claims["kubernetes.io"];
    return {
      namespace: stringOf(at(own, "namespace")),
      serviceAccount: stringOf(at(own, "serviceaccount", "name")),
      serviceAccountUid: stringOf(at(own, "serviceaccount", "uid")),
      audiences: stringsOf(claims.aud),
      tokenId: stringOf(claims.jti),
      expirySeconds: claims.exp,
      bound: boundOf(own),
    };
  }

  /** RFC 7517 key set for `/openid/v1/jwks`. */
  keySet(): JsonObject {
    const jwk = this.#publicKey.export({ format: "jwk" });
    return {
      keys: [{ use: "sig", kty: "EC", kid: this.#keyId, crv: "P-256", alg: "ES256", x: jwk.x, y: jwk.y }],
    };
  }
}

function boundOf(own: unknown): BoundObject | undefined {
  for (const kind of ["Pod", "Secret", "Node"] as const) {
    const reference = at(own, kind.toLowerCase());
    if (isObject(reference)) return { kind, name: stringOf(reference.name), uid: stringOf(reference.uid) };
  }
  return undefined;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decode(part: string): JsonObject {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
