import { withName } from "../field-selector.ts";
import type { KubeObject } from "../kube-object.ts";
import { parseListOptions, parseResourceVersion } from "../list-options.ts";
import { representList } from "../representation.ts";
import type { ResourceDefinition } from "../resource.ts";
import { methodNotAllowed, noSuchResource, StatusError } from "../status-error.ts";
import { readBody } from "./body.ts";
import { type DeleteOptions, deleteObject, parseDeleteOptions } from "./delete.ts";
import { type Exchange, sendHead, sendJson } from "./exchange.ts";
import { getObject, listObjects, reachRevision } from "./read.ts";
import { namespaceOf, type ResourceServer, representationOf, sendObject } from "./resource-server.ts";
import { answerSubresource } from "./subresource-request.ts";
import { prepareWatch } from "./watch.ts";
import type { WriteRequest } from "./write.ts";
import { answerCreate, answerPatch, answerUpdate, bodyOf } from "./write-request.ts";

/** Bytes that may wait in the server for one watch before it is taken for dead. */
const watchBufferLimitBytes = 16 * 1024 * 1024;

/**
 * Answers a request for a resource that the user may make.
 *
 * @throws StatusError
 */
export async function answerResource(server: ResourceServer, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  if (exchange.request.method === "HEAD") throw methodNotAllowed();
  const definition = server.state.registry.find(info.apiGroup, info.apiVersion, info.resource);
  if (definition === undefined) throw noSuchResource();
  if (info.namespace !== "" && !definition.namespaced && definition.collection !== "namespaces")
    throw noSuchResource();
  if (info.subresource !== "") return answerSubresource(server, exchange, definition);
  const isCollection = info.verb === "list" || info.verb === "watch" || info.verb === "deletecollection";
  if (!definition.verbs.includes(info.verb)) throw methodNotAllowed();
  if (!isCollection && definition.namespaced && info.namespace === "")
    throw info.verb === "create" ? methodNotAllowed() : noSuchResource();
  if (info.verb === "create" && info.name !== "") throw methodNotAllowed();
  if ((info.verb === "update" || info.verb === "patch") && info.name === "") throw methodNotAllowed();
  // Said before the object is looked for.
  representationOf(exchange);
  switch (info.verb) {
    case "get":
      return answerGet(server, exchange, definition);
    case "list":
      return answerList(server, exchange, definition);
    case "watch":
      return answerWatch(server, exchange, definition);
    case "create":
      return answerCreate(server, exchange, definition);
    case "update":
      return answerUpdate(server, exchange, definition);
    case "patch":
      return answerPatch(server, exchange, definition);
    case "delete":
      return answerDelete(server, exchange, definition);
    case "deletecollection":
      return answerDeleteCollection(server, exchange, definition);
    default:
      throw methodNotAllowed();
  }
}

async function answerGet(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { state } = server;
  const { info, query, signal } = exchange;
  const resourceVersion = parseResourceVersion(query.get("resourceVersion") ?? "", false);
  if (resourceVersion !== undefined) await reachRevision(state, resourceVersion, signal);
  const object = getObject(state, definition, namespaceOf(exchange, definition), info.name);
  sendObject(server, exchange, definition, 200, object);
}

async function answerList(
  { state }: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const representation = representationOf(exchange);
  const options = parseListOptions(exchange.query, definition, false);
  const list = await listObjects(
    state,
    definition,
    namespaceOf(exchange, definition),
    options,
    exchange.signal,
  );
  sendJson(exchange, 200, representList(representation, definition, list, state.clock.now()));
}

async function answerWatch(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { response, signal, info } = exchange;
  const options = parseListOptions(exchange.query, definition, true);
  const call = {
    definition,
    namespace: namespaceOf(exchange, definition),
    // The paths below /watch/ may name one object.
    options: { ...options, fieldSelector: withName(options.fieldSelector, info.name) },
    representation: representationOf(exchange),
    settings: server.watchSettings,
  };
  const run = await prepareWatch(server.state, call, signal);
  sendHead(exchange, 200, "application/json");
  run({
    send: (frame) => {
      response.write(frame);
      if (response.writableLength <= watchBufferLimitBytes) return true;
      response.destroy();
      return false;
    },
    end: () => response.end(),
  });
}

const deleteOptionsName = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

async function readDeleteOptions(exchange: Exchange): Promise<DeleteOptions> {
  const bytes = await readBody(exchange.request);
  const body = bytes.length === 0 ? {} : bodyOf(exchange, bytes, deleteOptionsName);
  return parseDeleteOptions(body, exchange.query);
}

function deletionOf(exchange: Exchange, definition: ResourceDefinition, object?: KubeObject): WriteRequest {
  const { info, user, warnings, signal } = exchange;
  return {
    definition,
    namespace: object?.metadata.namespace ?? namespaceOf(exchange, definition),
    name: object?.metadata.name ?? info.name,
    subresource: "",
    user,
    fieldManager: "",
    fieldValidation: "Ignore",
    dryRun: false,
    warnings,
    signal,
  };
}

async function answerDelete(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const options = await readDeleteOptions(exchange);
  const { object, gone } = await deleteObject(server.state, deletionOf(exchange, definition), options);
  if (!gone || definition.strategy.returnsDeleted)
    return sendObject(server, exchange, definition, 200, object);
  const { name, uid } = object.metadata;
  const { group, resource } = definition;
  sendJson(exchange, 200, {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name, ...(group === "" ? {} : { group }), kind: resource, uid },
  });
}

async function answerDeleteCollection(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const deletion = await readDeleteOptions(exchange);
  const options = parseListOptions(exchange.query, definition, false);
  const { state } = server;
  const list = await listObjects(
    state,
    definition,
    namespaceOf(exchange, definition),
    options,
    exchange.signal,
  );
  for (const object of list.objects) {
    try {
      await deleteObject(state, deletionOf(exchange, definition, object), {
        ...deletion,
        uid: object.metadata.uid ?? "",
      });
    } catch (error) {
      // Gone or replaced since the list: nothing is left to delete.
      if (!(error instanceof StatusError) || (error.code !== 404 && error.code !== 409)) throw error;
    }
  }
  sendJson(exchange, 200, representList(representationOf(exchange), definition, list, state.clock.now()));
}
