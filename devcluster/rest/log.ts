import { arrayOf, at, stringOf } from "../json.ts";
import { isSet } from "../list-options.ts";
import type { ServerState } from "../server-state.ts";
import { badRequest, internalError, notFound } from "../status-error.ts";
import { type Exchange, isGone, sendHead } from "./exchange.ts";

/** GET pods/<name>/log, from whoever runs the pods. */
export async function answerLog({ storage, logs }: ServerState, exchange: Exchange): Promise<void> {
  const { info, query, response, signal } = exchange;
  const stored = storage.get("pods", `${info.namespace}/${info.name}`);
  if (stored === undefined) throw notFound({ group: "", resource: "pods" }, info.name);
  const { spec, metadata } = stored.object;
  const containers = [...arrayOf(at(spec, "containers")), ...arrayOf(at(spec, "initContainers"))].map(
    (each) => stringOf(at(each, "name")),
  );
  const container = containerOf(
    query.get("container") ?? "",
    containers,
    arrayOf(at(spec, "containers")).length,
    info.name,
  );
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw badRequest(`invalid ${name}: ${JSON.stringify(text)}`);
    return Number(text);
  };
  if (logs.source === undefined) throw internalError("nobody runs pods on this server");
  const output = logs.source.read(
    {
      namespace: info.namespace,
      pod: info.name,
      podUid: metadata.uid ?? "",
      container,
      follow: isSet(query, "follow"),
      previous: isSet(query, "previous"),
      timestamps: isSet(query, "timestamps"),
      tailLines: number("tailLines"),
      limitBytes: number("limitBytes"),
      sinceSeconds: number("sinceSeconds"),
    },
    signal,
  );
  if (output === undefined) {
    const message = `container ${JSON.stringify(container)} in pod ${JSON.stringify(info.name)} is waiting to start`;
    throw badRequest(message);
  }
  sendHead(exchange, 200, "text/plain");
  for await (const piece of output) {
    if (isGone(response)) return;
    if (!response.write(piece)) await drained(response, signal);
  }
  response.end();
}

function containerOf(asked: string, names: readonly string[], mainCount: number, pod: string): string {
  if (asked !== "") {
    if (names.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${pod}`);
  }
  if (mainCount === 1 && names.length === 1) return names[0] ?? "";
  const list = names.join(" ");
  throw badRequest(`a container name must be specified for pod ${pod}, choose one of: [${list}]`);
}

function drained(response: Exchange["response"], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      response.off("drain", finish);
      response.off("close", finish);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    response.once("drain", finish);
    response.once("close", finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}
