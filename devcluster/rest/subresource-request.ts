import { builtInSchemas } from "../builtin/catalog.ts";
import { copyOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { ResourceDefinition } from "../resource.ts";
import { methodNotAllowed, noSuchResource } from "../status-error.ts";
import { parseJson } from "./body.ts";
import { decodeObject } from "./decode.ts";
import { type Exchange, sendJson } from "./exchange.ts";
import { answerLog } from "./log.ts";
import { getObject } from "./read.ts";
import { namespaceOf, type ResourceServer, sendObject } from "./resource-server.ts";
import { scaleOf, withScale } from "./scale.ts";
import { replaceObject } from "./update.ts";
import { answerPatch, answerUpdate, bodyOf, writeRequestOf } from "./write-request.ts";

/** Answers a request for `<object>/<subresource>`. @throws StatusError */
export async function answerSubresource(
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
