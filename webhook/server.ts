import type { Server } from "node:https";
import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { parseCircuitBreaker } from "#api/circuit-breaker";
import { CtrlmeshError, errorCodes, toCtrlmeshError } from "#api/errors";
import { parseFaultInjection } from "#api/fault-injection";
import type { Log } from "#runtime/log";
import {
  type AdmissionRequest,
  allow,
  parseAdmissionReview,
  refuse,
  reviewResponse,
  type Verdict,
} from "./admission-review.ts";
import { mutatePod, type PodAdmissionDeps } from "./mutate-pod.ts";
import { decisionTimeoutMs, webhookPaths } from "./paths.ts";
import { mutateNamespace, mutateResource, type StampSettings } from "./stamp.ts";
import { validateWith } from "./validate/review.ts";
import { validateShardingConfig } from "./validate/sharding-config.ts";
import type { CoverageSettings } from "./validate/siblings.ts";

export interface WebhookCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface WebhookDeps extends PodAdmissionDeps {
  readonly stamp: StampSettings;
  readonly groupConfigs: CoverageSettings["groupConfigs"];
  /** The serving certificate of now. */
  readonly certificate: () => WebhookCertificate;
  readonly log: Log;
}

export interface WebhookServer extends AsyncDisposable {
  /** Resolves when connections are accepted. @throws PORT_IN_USE */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Reads the certificate again; connections that are open keep the one that they began with. */
  reloadCertificate(): void;
}

/** Two whole objects of the largest size that etcd takes, and some. */
const bodyLimitBytes = 16 * 1024 * 1024;

type Decide = (request: AdmissionRequest, signal: AbortSignal) => Verdict | Promise<Verdict>;

interface Route {
  readonly decide: Decide;
  /** What counts when nothing could be decided: open only where a later step mends what was missed. */
  readonly onFailure: "refuse" | "allow";
}

/**
 * The admission webhooks over HTTPS. A body that is no AdmissionReview gets 400; a decision that fails is a
 * refusal for pods and validation, and leave for labels, which are healed later.
 */
export function createWebhookServer(deps: WebhookDeps): WebhookServer {
  const { log } = deps;
  const { certificatePem, privateKeyPem } = deps.certificate();
  const app = fastify<Server>({
    https: { cert: certificatePem, key: privateKeyPem, minVersion: "TLSv1.2" },
    bodyLimit: bodyLimitBytes,
    logger: false,
    forceCloseConnections: "idle",
  });
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler((thrown, _request, reply) => {
    const error = invalidBody(thrown);
    log.warn("admission review refused", { code: error.code, reason: error.message });
    const { status, reason } = errorCodes[error.code];
    return reply
      .code(status)
      .send({ kind: "Status", status: "Failure", reason, code: status, message: error.message });
  });
  app.get("/healthz", () => "ok");
  for (const [path, route] of Object.entries(routesOf(deps))) {
    app.post(path, async (request) => {
      const review = parseAdmissionReview(request.body);
      const verdict = await judge(review.request, route, log);
      if (!verdict.allowed) logRefusal(log, review.request, verdict.error);
      return reviewResponse(review, verdict);
    });
  }
  return {
    listen: async (host, port) => {
      try {
        await app.listen({ host, port });
      } catch (cause) {
        const code =
          cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE"
            ? "PORT_IN_USE"
            : "INTERNAL";
        throw new CtrlmeshError(code, {
          what: "the webhook server can't listen",
          where: `${host}:${port}`,
          cause,
        });
      }
      const address = app.server.address();
      if (address === null || typeof address === "string") {
        throw new CtrlmeshError("INTERNAL", { what: "the webhook server has no address" });
      }
      return address;
    },
    reloadCertificate: () => {
      const next = deps.certificate();
      app.server.setSecureContext({
        cert: next.certificatePem,
        key: next.privateKeyPem,
        minVersion: "TLSv1.2",
      });
    },
    [Symbol.asyncDispose]: () => app.close(),
  };
}

function routesOf(deps: WebhookDeps): Readonly<Record<string, Route>> {
  const { shardLabels, hash } = deps.stamp;
  const coverage = { shardLabels, hash, groupConfigs: deps.groupConfigs };
  const accept = (): Verdict => allow;
  return {
    [webhookPaths.pod]: {
      decide: (request, signal) => mutatePod(request, deps, signal),
      onFailure: "refuse",
    },
    [webhookPaths.namespace]: {
      decide: (request) => mutateNamespace(request, deps.stamp),
      onFailure: "allow",
    },
    [webhookPaths.resource]: {
      decide: (request) => mutateResource(request, deps.stamp, deps.namespaces),
      onFailure: "allow",
    },
    [webhookPaths.shardingConfig]: {
      decide: (request, signal) =>
        validateShardingConfig(request, { shardingConfigs: deps.shardingConfigs, coverage }, signal),
      onFailure: "refuse",
    },
    [webhookPaths.circuitBreaker]: {
      decide: (request) => validateWith(request, parseCircuitBreaker, accept),
      onFailure: "refuse",
    },
    [webhookPaths.faultInjection]: {
      decide: (request) => validateWith(request, parseFaultInjection, accept),
      onFailure: "refuse",
    },
  };
}

async function judge(request: AdmissionRequest, { decide, onFailure }: Route, log: Log): Promise<Verdict> {
  const signal = AbortSignal.timeout(decisionTimeoutMs);
  try {
    return await decide(request, signal);
  } catch (thrown) {
    const error = signal.aborted
      ? new CtrlmeshError("TIMEOUT", {
          what: `no decision within ${decisionTimeoutMs} ms`,
          hint: "the manager waits for the API server; try again",
          cause: thrown,
        })
      : toCtrlmeshError(thrown);
    if (onFailure === "refuse") return refuse(error);
    log.warn("admission left an object as it is", {
      ...subject(request),
      code: error.code,
      reason: error.message,
    });
    return allow;
  }
}

function logRefusal(log: Log, request: AdmissionRequest, { code, message }: CtrlmeshError): void {
  log.info("admission refused an object", { ...subject(request), code, reason: message });
}

function subject({ namespace, name, resource }: AdmissionRequest): Record<string, unknown> {
  return { namespace, name, group: resource.group, resource: resource.resource };
}

/** fastify's own refusals (no JSON, too large, another media type) in our words. */
function invalidBody(thrown: unknown): CtrlmeshError {
  if (thrown instanceof CtrlmeshError) return thrown;
  const clientError = thrown instanceof Error && "statusCode" in thrown && Number(thrown.statusCode) < 500;
  if (!clientError) return toCtrlmeshError(thrown);
  return new CtrlmeshError("ADMISSION_REVIEW_INVALID", {
    what: thrown.message,
    where: "request body",
    hint: "send an AdmissionReview as application/json",
    cause: thrown,
  });
}
