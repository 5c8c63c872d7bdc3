import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { CtrlmeshError } from "#api/errors";
import { type Health, type HealthKind, renderHealth } from "#runtime/health";
import { type Metrics, metricsContentType } from "#runtime/metrics";

export interface HttpDeps {
  readonly health: Health;
  readonly metrics: Metrics;
}

export interface HttpServer extends AsyncDisposable {
  readonly address: AddressInfo;
}

/** `/health` and `/ready` are the names of the mesh controller that users come from. */
const probes: Readonly<Record<string, HealthKind>> = {
  "/healthz": "live",
  "/health": "live",
  "/readyz": "ready",
  "/ready": "ready",
};

/**
 * Health and metrics of the manager. Tells nothing secret and changes nothing, so it asks for no credentials.
 *
 * @throws PORT_IN_USE
 */
export async function startHttpServer(deps: HttpDeps, host: string, port: number): Promise<HttpServer> {
  const app = fastify({ logger: false, forceCloseConnections: true });
  for (const [path, kind] of Object.entries(probes)) {
    app.get(path, (request, reply) => {
      const form = request.headers.accept?.includes("json") === true ? "json" : "text";
      const { status, contentType, body } = renderHealth(deps.health.report(kind), form);
      return reply.code(status).type(contentType).send(body);
    });
  }
  app.get("/metrics", async (_request, reply) =>
    reply.type(metricsContentType).send(await deps.metrics.render()),
  );
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw new CtrlmeshError("PORT_IN_USE", {
      what: "health and metrics can't be served",
      where: `${host}:${port}`,
      hint: "choose another port with --http-bind-port",
      cause,
    });
  }
  const address = app.server.address();
  if (address === null || typeof address === "string") {
    throw new CtrlmeshError("INTERNAL", { what: "the server of health and metrics has no address" });
  }
  return { address, [Symbol.asyncDispose]: () => app.close() };
}
