import { builtInSchemas } from "../builtin/catalog.ts";
import { notSupported, required } from "../field-errors.ts";
import { copyOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { parseListOptions } from "../list-options.ts";
import { negotiate, type Representation, represent, representList } from "../representation.ts";
import type { ResourceDefinition } from "../resource.ts";
import type { Reviews } from "../reviews.ts";
import type { ServerState } from "../server-state.ts";
import { badRequest, invalid, methodNotAllowed, noSuchResource, StatusError } from "../status-error.ts";
import { mediaTypeOf, parseBody, parseJson, parseYamlText, readBody } from "./body.ts";
import { decodeObject, type FieldValidation } from "./decode.ts";
import { type DeleteOptions, deleteObject, parseDeleteOptions } from "./delete.ts";
import { type Exchange, sendHead, sendJson } from "./exchange.ts";
import { answerLog } from "./log.ts";
import { applyPatch, patchKindOf, patchObject } from "./patch.ts";
import { getObject, listObjects } from "./read.ts";
import { scaleOf, withScale } from "./scale.ts";
import { prepareWatch, type WatchSettings } from "./watch.ts";
import { createObject, replaceObject, updateObject, type WriteRequest } from "./write.ts";

export interface ResourceServer {
  readonly state: ServerState;
  readonly reviews: Reviews;
  readonly watchSettings: WatchSettings;
}

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
  switch (info.verb) {
    case "get":
      return sendObject(
        server,
        exchange,
        definition,
        200,
        getObject(server.state, definition, namespaceOf(exchange, definition), info.name),
      );
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

/** A namespace is its own namespace for request info, but stored without one. */
function namespaceOf({ info }: Exchange, definition: ResourceDefinition): string {
  return definition.namespaced ? info.namespace : "";
}

function sendObject(
  { state }: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
  status: number,
  object: KubeObject,
): void {
  const representation = representationOf(exchange);
  sendJson(exchange, status, represent(representation, definition, object, state.clock.now()));
}

function representationOf({ request, query }: Exchange): Representation {
  return negotiate(request.headers.accept, query);
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
  const { response, signal } = exchange;
  const call = {
    definition,
    namespace: namespaceOf(exchange, definition),
    options: parseListOptions(exchange.query, definition, true),
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

async function writeRequestOf(
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<{ readonly write: WriteRequest; readonly bytes: Buffer }> {
  const { request, query, info, user, warnings, signal } = exchange;
  const dryRun = query.getAll("dryRun");
  if (dryRun.some((each) => each !== "All")) throw badDryRun(info.verb, dryRun);
  const write: WriteRequest = {
    definition,
    namespace: namespaceOf(exchange, definition),
    name: info.name,
    subresource: info.subresource,
    user,
    fieldManager: fieldManagerOf(exchange),
    fieldValidation: fieldValidationOf(query.get("fieldValidation")),
    dryRun: dryRun.length > 0,
    warnings,
    signal,
  };
  return { write, bytes: await readBody(request) };
}

const optionKinds: Readonly<Record<string, string>> = {
  create: "CreateOptions",
  update: "UpdateOptions",
  patch: "PatchOptions",
};

function badDryRun(verb: string, given: readonly string[]): StatusError {
  return invalid(optionKinds[verb] ?? "Options", "meta.k8s.io", "", [notSupported("dryRun", given, ["All"])]);
}

function bodyOf({ request }: Exchange, bytes: Buffer, schemaName: string): unknown {
  return parseBody(bytes, mediaTypeOf(request.headers["content-type"]), schemaName);
}

/** The parameter, else the program's name: what stands before the slash of its user agent. */
function fieldManagerOf({ query, request }: Exchange): string {
  const [program = ""] = (request.headers["user-agent"] ?? "").split("/");
  return query.get("fieldManager") || program.slice(0, 128) || "unknown";
}

function fieldValidationOf(text: string | null): FieldValidation {
  if (text === null || text === "" || text === "Warn") return "Warn";
  if (text === "Strict" || text === "Ignore") return text;
  throw badRequest(
    `invalid fieldValidation: Unsupported value: ${JSON.stringify(text)}: supported values: "Ignore", "Strict", "Warn"`,
  );
}

async function answerCreate(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, definition.schemaName);
  if (!definition.verbs.includes("get")) return answerReview(server, exchange, write, body);
  sendObject(server, exchange, definition, 201, await createObject(server.state, write, body));
}

function answerReview(
  { reviews }: ResourceServer,
  exchange: Exchange,
  write: WriteRequest,
  body: unknown,
): void {
  const review = decodeObject(write.definition, body, write.fieldValidation, write.warnings);
  const answer = reviews.answer(review, exchange.user);
  if (answer === undefined) throw noSuchResource();
  sendJson(exchange, 201, answer);
}

async function answerUpdate(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, definition.schemaName);
  sendObject(server, exchange, definition, 200, await updateObject(server.state, write, body));
}

async function answerPatch(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const kind = patchKindOf(definition, mediaTypeOf(exchange.request.headers["content-type"]));
  const { write, bytes } = await writeRequestOf(exchange, definition);
  if (kind !== "apply") {
    return sendObject(
      server,
      exchange,
      definition,
      200,
      await patchObject(server.state, write, kind, parseJson(bytes)),
    );
  }
  if (!exchange.query.get("fieldManager"))
    throw invalid("PatchOptions", "meta.k8s.io", "", [
      required("fieldManager", "is required for apply patch"),
    ]);
  const force = exchange.query.get("force") === "true";
  const { object, created } = await applyPatch(server.state, write, parseYamlText(bytes), force);
  sendObject(server, exchange, definition, created ? 201 : 200, object);
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
  sendJson(exchange, 200, representList({ kind: "object" }, definition, list, state.clock.now()));
}

async function answerSubresource(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { info } = exchange;
  const subresource = definition.subresources.find(({ name }) => name === info.subresource);
  if (subresource === undefined) throw noSuchResource();
  if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed();
  switch (info.subresource) {
    case "status":
      return answerStatus(server, exchange, definition);
    case "scale":
      return answerScale(server, exchange, definition);
    case "log":
      return answerLog(server.state, exchange);
    case "token":
      return answerToken(server, exchange, definition);
    case "finalize":
      return answerFinalize(server, exchange, definition);
    default:
      throw noSuchResource();
  }
}

function answerStatus(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> | void {
  const { info } = exchange;
  if (info.verb === "update") return answerUpdate(server, exchange, definition);
  if (info.verb === "patch") return answerPatch(server, exchange, definition);
  const object = getObject(server.state, definition, namespaceOf(exchange, definition), info.name);
  return sendObject(server, exchange, definition, 200, object);
}

async function answerScale(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { info } = exchange;
  const { state } = server;
  if (info.verb === "get")
    return sendJson(
      exchange,
      200,
      scaleOf(getObject(state, definition, namespaceOf(exchange, definition), info.name)),
    );
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const scaled = { ...write, subresource: "" };
  const object = await replaceObject(
    state,
    scaled,
    (current) => {
      if (info.verb === "update")
        return withScale(current, bodyOf(exchange, bytes, "io.k8s.api.autoscaling.v1.Scale"));
      return withScale(current, patchedScale(current, bytes));
    },
    true,
  );
  sendJson(exchange, 200, scaleOf(object));
}

/** Only `spec.replicas` can change, so that every patch of a Scale is read as a merge patch. */
function patchedScale(current: KubeObject, bytes: Buffer): unknown {
  const patch = parseJson(bytes);
  const scale = copyOf(scaleOf(current));
  return { ...scale, ...(typeof patch === "object" && patch !== null ? patch : {}) };
}

const tokenRequestName = "io.k8s.api.authentication.v1.TokenRequest";

async function answerToken(
  { reviews }: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, tokenRequestName);
  const kind = { ...definition, group: "authentication.k8s.io", kind: "TokenRequest" };
  const schema = builtInSchemas().get(tokenRequestName) ?? { source: {} };
  const order = decodeObject({ ...kind, schema }, body, "Ignore", []);
  sendJson(exchange, 201, reviews.requestToken(order, write.namespace, write.name));
}

/** PUT namespaces/<name>/finalize sets the finalizers of the spec. */
async function answerFinalize(
  server: ResourceServer,
  exchange: Exchange,
  definition: ResourceDefinition,
): Promise<void> {
  const { write, bytes } = await writeRequestOf(exchange, definition);
  const body = bodyOf(exchange, bytes, definition.schemaName);
  const wanted = decodeObject(definition, body, "Ignore", []);
  const { prepareUpdate: _kept, ...strategy } = definition.strategy;
  const open = { ...write, definition: { ...definition, strategy }, subresource: "" };
  const object = await replaceObject(
    server.state,
    open,
    (current) => ({ ...current, spec: wanted.spec }),
    true,
  );
  sendObject(server, exchange, definition, 200, object);
}
