import type { TokenIssuer } from "../auth/tokens.ts";
import { aggregated, coreVersions, groupList, resourceList, singleGroup } from "../discovery.ts";
import { openApiDocument, openApiIndex, openApiV2 } from "../openapi.ts";
import type { Registry } from "../registry.ts";
import { acceptsJson, notAcceptable, parseAccept } from "../representation.ts";
import { methodNotAllowed, noSuchResource } from "../status-error.ts";
import { type Exchange, hostOf, sendJson, sendText } from "./exchange.ts";

/** The Kubernetes version whose behaviour this server follows. */
export const version = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.3+ctrlmesh-devcluster",
  gitCommit: "",
  gitTreeState: "",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: `${process.platform}/${process.arch}`,
};

/** Clients tell the two forms of discovery apart by the content type. */
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/** Of documents that are not in plain JSON's name. */
const contentTypes: Readonly<Record<string, string>> = { "/openid/v1/jwks": "application/jwk-set+json" };

const isAggregatedPath = (path: string): boolean => path === "/api" || path === "/apis";

const health = new Set(["/healthz", "/livez", "/readyz", "/healthz/ping", "/livez/ping", "/readyz/ping"]);

/** Answers what is no resource: health, version, discovery, OpenAPI, keys of the tokens. */
export function answerPath(registry: Registry, issuer: TokenIssuer, exchange: Exchange): void {
  const { info, request } = exchange;
  if (health.has(info.path)) {
    // Of any method.
    sendText(exchange, 200, "ok");
    return;
  }
  const path = info.path.length > 1 && info.path.endsWith("/") ? info.path.slice(0, -1) : info.path;
  const body = documentOf(registry, issuer, path, exchange);
  if (body === undefined) {
    // Of a group that is served, another version is a resource that is not there.
    if (isVersionPath(registry, path)) throw noSuchResource();
    sendText(exchange, 404, "404 page not found\n");
    return;
  }
  if (request.method !== "GET") throw methodNotAllowed();
  const isAggregated = isAggregatedPath(path) && wantsAggregated(exchange);
  sendJson(exchange, 200, body, isAggregated ? aggregatedType : contentTypes[path]);
}

function isVersionPath(registry: Registry, path: string): boolean {
  const [prefix = "", group = "", version] = path.slice(1).split("/");
  if (prefix === "api") return group !== "";
  return prefix === "apis" && version !== undefined && singleGroup(registry, group) !== undefined;
}

function documentOf(registry: Registry, issuer: TokenIssuer, path: string, exchange: Exchange): unknown {
  const host = hostOf(exchange.request);
  const [first = "", second = "", third = "", ...rest] = path.slice(1).split("/");
  if (path === "/version") return version;
  if (path === "/.well-known/openid-configuration") return openIdConfiguration(issuer, host);
  if (path === "/openid/v1/jwks") return issuer.keySet();
  if (path === "/api") return wantsAggregated(exchange) ? aggregated(registry, true) : coreVersions(host);
  if (path === "/apis") return wantsAggregated(exchange) ? aggregated(registry, false) : groupList(registry);
  if (first === "api" && third === "") return resourceList(registry, "", second);
  if (first === "apis" && rest.length === 0)
    return third === "" ? singleGroup(registry, second) : resourceList(registry, second, third);
  if (path === "/openapi/v2") {
    if (!acceptsPlainJson(exchange)) throw notAcceptable();
    return openApiV2(registry);
  }
  if (path === "/openapi/v3") return openApiIndex(registry);
  if (path.startsWith("/openapi/v3/")) return openApiDocument(registry, path.slice("/openapi/v3/".length));
  if (path === "/")
    return {
      paths: ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"],
    };
  return undefined;
}

function wantsAggregated({ request }: Exchange): boolean {
  for (const range of parseAccept(request.headers.accept ?? "")) {
    if (!acceptsJson(range)) continue;
    if (range.parameters.get("as") !== "APIGroupDiscoveryList") return false;
    if (range.parameters.get("g") !== "apidiscovery.k8s.io" || range.parameters.get("v") !== "v2") continue;
    return true;
  }
  return false;
}

function acceptsPlainJson({ request }: Exchange): boolean {
  const { accept } = request.headers;
  return accept === undefined || parseAccept(accept).some(acceptsJson);
}

function openIdConfiguration(issuer: TokenIssuer, host: string): unknown {
  return {
    issuer: issuer.issuer,
    jwks_uri: `https://${host}/openid/v1/jwks`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["ES256"],
  };
}
