import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent } from "node:https";
import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { WebhookRoutes } from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { Metrics } from "#runtime/metrics";
import type { HostAndPort } from "#runtime/setting-types";
import { createRelayCounters, type RelayOutcome, registerRelayMetrics } from "./counters.ts";
import { type Ask, ask, giveOn, type Target } from "./exchange.ts";
import { Listener } from "./listener.ts";
import { OperatorCertificate } from "./operator-certificate.ts";
import { peerAgent, peerServerOptions } from "./peer-tls.ts";
import { ReviewBodies } from "./review-bodies.ts";
import { noReview, subjectOf } from "./review-subject.ts";
import { reviewTimeoutMs } from "./review-timeout.ts";
import { type CompiledRoutes, compileRoutes, destinationOf, type RoutedShard } from "./routes.ts";

export interface WebhookRelayDeps {
  /** Where the API server's reviews come in: the Service of the webhook leads here. */
  readonly listen: HostAndPort;
  /** Where other pods of the group send reviews to. */
  readonly peers: HostAndPort;
  /** Port of the peers' listener in the other pods. */
  readonly peerPort: number;
  /** The operator's own webhook in this pod. */
  readonly operator: HostAndPort;
  /** Directory of the operator's serving certificate. */
  readonly certificateDirectory: string;
  /** The shard of this pod; empty while it is not known. */
  readonly shard: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** One pod, and one more when that fails: a list of pods lags by seconds, and the API server waits 10. */
const attemptsLimit = 2;

/**
 * Stands before the operator's admission webhook and gives each review to a pod of the shard that has its namespace.
 *
 * A review that came from another pod is answered here whatever the routes say, by a listener that knows no way on:
 * so no review goes round in circles, and which pod answers was decided once, where the API server asked.
 *
 * Nobody of the right shard answers: 503, so that the webhook's own `failurePolicy` decides, as it would if this
 * version alone were installed. An operator of another shard must not judge instead: with a canary it is the other
 * version, and with `failurePolicy: Fail` its user has said that nothing is better than no judgement.
 */
export class WebhookRelay implements AsyncDisposable {
  readonly counters = createRelayCounters();
  readonly #deps: WebhookRelayDeps;
  readonly #bodies = new ReviewBodies();
  readonly #stack = new AsyncDisposableStack();
  /**
   * The certificate is not looked at: on the pod's own loopback only its own containers listen, and a webhook's
   * certificate is for the name of its Service.
   */
  readonly #operatorAgent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  #listener: Listener | undefined;
  #peerListener: Listener | undefined;
  #routes: CompiledRoutes | undefined;
  #keys: readonly Buffer[] = [];
  #peerAgent: Agent | undefined;

  private constructor(deps: WebhookRelayDeps) {
    this.#deps = deps;
  }

  /** @throws PORT_IN_USE */
  static async start(deps: WebhookRelayDeps): Promise<WebhookRelay> {
    const relay = new WebhookRelay(deps);
    await relay.#start();
    return relay;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get peerPort(): number {
    return this.#peerListener?.port ?? 0;
  }

  /** Takes over what the manager says; what is wrong is logged and changes nothing. */
  take(message: WebhookRoutes): void {
    let routes: CompiledRoutes;
    try {
      routes = compileRoutes(message);
    } catch (error) {
      this.#deps.log.error("webhook routes of the manager are not usable", { error });
      return;
    }
    if (this.#routes?.relayKey.equals(routes.relayKey) !== true) {
      this.#keys = [routes.relayKey, ...this.#keys.slice(0, 1)];
      this.#peerAgent?.destroy();
      this.#peerAgent = peerAgent(routes.relayKey);
    }
    this.#routes = routes;
  }

  registerMetrics(metrics: Metrics): void {
    registerRelayMetrics(metrics, this.counters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    const { listen, peers, clock, log, certificateDirectory: directory } = this.#deps;
    this.#stack.defer(() => {
      this.#operatorAgent.destroy();
      this.#peerAgent?.destroy();
    });
    const listener = await Listener.listen(
      listen,
      {},
      { clock, answer: (request, response) => void this.#answer(request, response) },
    );
    this.#listener = this.#stack.use(listener);
    const peerListener = await Listener.listen(
      peers,
      peerServerOptions(() => this.#keys),
      { clock, answer: (request, response) => void this.#answerPeer(request, response) },
    );
    this.#peerListener = this.#stack.use(peerListener);
    peerListener.server.on("tlsClientError", () => {
      this.counters.strangers += 1;
    });
    const onChange = (pair: { readonly key: string; readonly cert: string }) =>
      listener.server.setSecureContext(pair);
    this.#stack.use(await OperatorCertificate.follow({ directory, clock, log, onChange }));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const signal = this.#limit(request, response);
    const head = headOf(request);
    try {
      using held = await this.#bodies.read(request);
      if (held.body.kind !== "read") {
        this.#refuse(response, held.body.kind);
        return;
      }
      const { bytes } = held.body;
      const subject = request.method === "POST" ? subjectOf(bytes) : noReview;
      const destination = destinationOf(subject, this.#deps.shard(), this.#routes);
      const whole = { ...head, body: bytes };
      if (destination.kind === "local") await this.#askOperator(whole, destination.reason, response, signal);
      else await this.#askPeers(whole, destination.shard, response, signal);
    } catch {
      // The API server went away, or an answer broke off in the middle: there is nobody to tell.
      response.destroy();
    }
  }

  async #answerPeer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.counters.received += 1;
    const signal = this.#limit(request, response);
    const head = headOf(request);
    try {
      using held = await this.#bodies.read(request);
      if (held.body.kind !== "read") this.#refuse(response, held.body.kind);
      else await this.#askOperator({ ...head, body: held.body.bytes }, undefined, response, signal);
    } catch {
      response.destroy();
    }
  }

  async #askOperator(
    question: Ask,
    outcome: RelayOutcome | undefined,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    let answer: IncomingMessage;
    try {
      answer = await ask(
        question,
        { ...this.#deps.operator, agent: this.#operatorAgent },
        { ...this.#deps, signal },
      );
    } catch (thrown) {
      if (response.destroyed) throw thrown;
      this.#refuse(response, "operator_failed", toCtrlmeshError(thrown));
      return;
    }
    if (outcome !== undefined) this.#count(outcome);
    await giveOn(answer, response);
  }

  async #askPeers(
    question: Ask,
    shard: RoutedShard,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const targets = this.#targets(shard);
    let failure: CtrlmeshError | undefined;
    for (const target of targets) {
      try {
        const answer = await ask(question, target, { ...this.#deps, signal });
        // Its operator does not answer, so its pod is about to be unready.
        if (answer.statusCode !== refusals.operator_failed.status) {
          this.#count("forwarded");
          await giveOn(answer, response);
          return;
        }
        answer.resume();
      } catch (thrown) {
        if (response.headersSent || response.destroyed) throw thrown;
        failure = toCtrlmeshError(thrown);
      }
      this.counters.failedAttempts += 1;
      if (signal.aborted) break;
    }
    this.#deps.log.debug("a review could not be forwarded", {
      shard: shard.name,
      ...(failure === undefined ? {} : { error: failure }),
    });
    this.#refuse(response, targets.length === 0 ? "no_pod" : "unreachable");
  }

  /** Pods to ask, in order; another first each time. */
  #targets({ endpoints }: RoutedShard): Target[] {
    const agent = this.#peerAgent;
    if (agent === undefined || endpoints.length === 0) return [];
    const start = Math.floor(this.#deps.random() * endpoints.length);
    const turned = [...endpoints.slice(start), ...endpoints.slice(0, start)];
    return turned
      .slice(0, attemptsLimit)
      .map(({ address }) => ({ host: address, port: this.#deps.peerPort, agent }));
  }

  /** Aborts when the API server waits no longer or has gone away. */
  #limit(request: IncomingMessage, response: ServerResponse): AbortSignal {
    const ended = new AbortController();
    const timer = this.#deps.clock.timer(reviewTimeoutMs(request.url ?? ""), () => ended.abort());
    response.once("close", () => {
      timer[Symbol.dispose]();
      ended.abort();
    });
    return ended.signal;
  }

  #refuse(response: ServerResponse, outcome: keyof typeof refusals, error?: CtrlmeshError): void {
    const { status, text } = refusals[outcome];
    this.#count(outcome);
    if (error !== undefined) this.#deps.log.debug("the operator's webhook did not answer", { error });
    // An unread rest of the request can't be told from the next one.
    const connection = outcome === "too_large" || outcome === "overloaded" ? { connection: "close" } : {};
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...connection });
    response.end(`ctrlmesh-proxy: ${text}\n`);
  }

  #count(outcome: RelayOutcome): void {
    const { outcomes } = this.counters;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}

const refusals = {
  no_pod: { status: 503, text: "the shard that has this namespace has no ready pod" },
  unreachable: { status: 503, text: "no pod of the shard that has this namespace answered" },
  operator_failed: { status: 502, text: "the operator's webhook in this pod did not answer" },
  too_large: { status: 413, text: "the request is larger than a review can be" },
  overloaded: { status: 503, text: "too many reviews at a time" },
} as const;

function headOf({ method = "GET", url = "/", headers }: IncomingMessage): Omit<Ask, "body"> {
  return { method, url, headers };
}
