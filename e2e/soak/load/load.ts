import type { LoadReport } from "../record.ts";
import { type Channel, type Endpoint, offeredProtocol, openChannel, type Protocol } from "./channel.ts";
import type { LoadSettings } from "./messages.ts";
import { Misbehaviour } from "./misbehaviour.ts";
import { Pacer } from "./pacer.ts";
import { type Random, randomFrom } from "./random.ts";
import { Requests } from "./requests.ts";
import type { Resource } from "./scene.ts";
import { Tally } from "./tally.ts";
import type { Views } from "./views.ts";
import { Watcher } from "./watcher.ts";

const workers = 16;
const misbehavioursPerSecond = 6;
const cutsPerSecond = 0.5;
/** Watches that one HTTP/2 connection carries, as informers of one client do. */
const watchesPerSession = 10;

/** All clients of the soak. They may rest, with every connection closed, and go on. */
export class Load {
  readonly #settings: LoadSettings;
  readonly #views: Views;
  readonly #tally = new Tally();
  readonly #random: Random;
  #token: string;
  #protocols: readonly Protocol[] = ["http1"];
  #isRunning = false;
  #running: Promise<unknown> = Promise.resolve();
  #watchers: Watcher[] = [];

  constructor(settings: LoadSettings, views: Views) {
    this.#settings = settings;
    this.#views = views;
    this.#token = settings.token;
    this.#random = randomFrom(settings.seed);
  }

  /** @throws Error when HTTP/2 is asked for and not offered */
  async start(): Promise<void> {
    const { downstream } = this.#settings;
    const offered = downstream === "http1" ? "http1" : await offeredProtocol(this.#endpoint);
    if (downstream === "http2" && offered !== "http2") throw new Error("the proxy does not offer HTTP/2");
    if (offered === "http2") this.#protocols = downstream === "mixed" ? ["http1", "http2"] : ["http2"];
    this.goOn();
  }

  useToken(token: string): void {
    this.#token = token;
  }

  goOn(): void {
    this.#isRunning = true;
    const pacer = new Pacer(this.#settings.requestsPerSecond);
    this.#watchers = this.#newWatchers();
    this.#running = Promise.all([
      ...Array.from({ length: workers }, (_, index) => this.#work(this.#protocolOf(index), pacer)),
      ...this.#watchers.map((watcher) => watcher.run()),
      this.#misbehave(),
      this.#cutWatches(),
    ]);
  }

  /** Ends what runs and closes all connections. */
  async rest(): Promise<void> {
    this.#isRunning = false;
    for (const watcher of this.#watchers) watcher.end();
    await this.#running;
  }

  report(): LoadReport {
    return this.#tally.report();
  }

  get #endpoint(): Endpoint {
    const { port, caPem } = this.#settings;
    return {
      port,
      caPem,
      token: () => this.#token,
      retried: () => {
        this.#tally.retries++;
      },
    };
  }

  #protocolOf(index: number): Protocol {
    return this.#protocols[index % this.#protocols.length] ?? "http1";
  }

  async #work(protocol: Protocol, pacer: Pacer): Promise<void> {
    const channel = openChannel(protocol, this.#endpoint);
    const requests = new Requests({ ...this.#shared, channel });
    while (this.#isRunning) {
      await pacer.turn();
      if (this.#isRunning) await requests.runOne();
    }
    channel.close();
  }

  async #misbehave(): Promise<void> {
    const misbehaviour = new Misbehaviour({ ...this.#shared, endpoint: this.#endpoint });
    const pacer = new Pacer(misbehavioursPerSecond);
    while (this.#isRunning) {
      await pacer.turn();
      await misbehaviour.runOne();
    }
  }

  async #cutWatches(): Promise<void> {
    const pacer = new Pacer(cutsPerSecond);
    while (this.#isRunning) {
      await pacer.turn();
      this.#random.pick(this.#watchers).cut();
    }
  }

  get #shared(): { readonly views: Views; readonly random: Random; readonly tally: Tally } {
    return { views: this.#views, random: this.#random, tally: this.#tally };
  }

  /** An eighth each of what changes each second and sometimes, the others of what stays. */
  #newWatchers(): Watcher[] {
    const sessions = new Map<string, Channel>();
    return Array.from({ length: this.#settings.watches }, (_, index) => {
      const resource: Resource =
        index % 8 === 0 ? "configmaps" : index % 8 < 4 ? "secrets" : "serviceaccounts";
      const protocol = this.#protocolOf(index >> 3);
      const isWatchList = index % 3 === 0;
      const channel = this.#channelOfWatch(protocol, index, sessions);
      return new Watcher({ ...this.#shared, resource, isWatchList, channel });
    });
  }

  #channelOfWatch(protocol: Protocol, index: number, sessions: Map<string, Channel>): Channel {
    if (protocol === "http1") return openChannel(protocol, this.#endpoint);
    const key = String(Math.floor(index / watchesPerSession));
    const present = sessions.get(key) ?? openChannel(protocol, this.#endpoint);
    sessions.set(key, present);
    return present;
  }
}
