import { once } from "node:events";
import { Agent, request } from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import type { EtcdHistory } from "./etcd-history.ts";
import type { Random } from "./random.ts";
import type { Scope } from "./scope.ts";
import { isShown, type Labels, type Resource, resources, type View } from "./view.ts";

export const teams = ["a", "b", "c", "d"] as const;
export const namespaces = ["n1", "n2"] as const;
export const apps = ["x", "y"] as const;

export interface WriterOptions {
  /** URLs of API servers that answer; asked before each write. */
  endpoints(): readonly string[];
  readonly tls: { readonly ca: string; readonly cert: Buffer; readonly key: Buffer };
  readonly random: Random;
  readonly history: EtcdHistory;
  /** What some client watches now: most writes are meant for its eyes. */
  aim(resource: Resource): { readonly scope: Scope; readonly view: View | undefined };
}

const objectsPerNamespace = 5;
const loops = 4;
/** The rest is written blindly, as is what a shard must not be told of. */
const aimed = 0.8;
const writeMs = 3_000;

/**
 * Writes at random, past the proxy: creates, updates, moves between teams, takes labels away, deletes. What is there
 * is mostly changed and what is not is made, so that few requests are in vain.
 */
export class Writer implements Disposable {
  readonly #options: WriterOptions;
  readonly #agent: Agent;
  #isPaused = false;
  readonly #running = new Set<Promise<void>>();
  /** Writes that an API server has answered with success. */
  count = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#agent = new Agent({ ...options.tls, keepAlive: true });
  }

  /** Writes until the signal fires, but for pauses. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: loops }, () => this.#loop(signal)));
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const random = this.#options.random.fork();
    while (!signal.aborted) {
      if (!this.#isPaused) {
        const write = this.write();
        this.#running.add(write);
        await write;
        this.#running.delete(write);
      }
      const ms = random.chance(0.05) ? 200 : random.between(0, 20);
      await wait(ms, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Resolves when no write is under way. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await Promise.all(this.#running);
  }

  goOn(): void {
    this.#isPaused = false;
  }

  /** One write; what becomes of it etcd tells. */
  async write(): Promise<void> {
    const { random, history } = this.#options;
    const resource = random.pick(resources);
    const { scope, view } = this.#options.aim(resource);
    const isAimed = random.chance(aimed);
    const namespace = (isAimed ? scope.namespace : undefined) ?? random.pick(namespaces);
    const name = `${resource.charAt(0)}${random.between(1, objectsPerNamespace)}`;
    const collection = `/api/v1/namespaces/${namespace}/${resource}`;
    const seen = isAimed && view !== undefined ? teams.filter((team) => isShown(view, { team })) : teams;
    const team = random.pick(seen.length > 0 ? seen : teams);
    const app = (isAimed ? scope.app : undefined) ?? random.pick(apps);
    const annotations = { text: "x".repeat(this.#size()), at: String(performance.now()) };
    const patch = (metadata: object) => this.send("PATCH", `${collection}/${name}`, { metadata });
    if (!history.has(resource, `${namespace}/${name}`)) {
      const labels: Labels = random.chance(0.95) ? { team, app } : { app };
      const body = { metadata: { name, labels, annotations }, ...specOf[resource] };
      await this.send("POST", collection, body);
      return;
    }
    const draw = random.next();
    if (draw < 0.15) await this.send("DELETE", `${collection}/${name}`);
    else if (draw < 0.45) await patch({ labels: { team, app } });
    else if (draw < 0.55) await patch({ labels: { team: random.pick(teams) } });
    else if (draw < 0.6) await patch({ labels: { team: null } });
    else await patch({ annotations });
  }

  /** @returns the HTTP status; 0 when there was no answer */
  async send(method: string, path: string, body?: unknown): Promise<number> {
    const endpoints = this.#options.endpoints();
    if (endpoints.length === 0) return 0;
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const call = request(`${this.#options.random.pick(endpoints)}${path}`, {
      method,
      headers: { "content-type": type },
      agent: this.#agent,
      signal: AbortSignal.timeout(writeMs),
    });
    try {
      call.end(body === undefined ? undefined : JSON.stringify(body));
      const [answer] = await once(call, "response");
      await answer.toArray();
      if (answer.statusCode < 300) this.count++;
      return answer.statusCode;
    } catch {
      return 0;
    }
  }

  /** Some fill more than one read or TLS record. */
  #size(): number {
    const { random } = this.#options;
    return random.chance(0.1) ? random.between(10_000, 120_000) : random.between(0, 200);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** What a kind can't be without. */
const specOf: Partial<Record<Resource, object>> = { limitranges: { spec: { limits: [] } } };
