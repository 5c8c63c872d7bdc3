import { setTimeout as wait } from "node:timers/promises";
import { type Answer, answerMs, type Call, type Channel } from "./channel.ts";
import { wrongInBytes, wrongInList } from "./contents.ts";
import { isPostponed, Postponed } from "./postponed.ts";
import type { Random } from "./random.ts";
import {
  type KubernetesObject,
  kinds,
  lastingName,
  namespaceOf,
  objectOf,
  type Resource,
  teams,
} from "./scene.ts";
import type { Tally } from "./tally.ts";
import type { Views } from "./views.ts";

export interface RequestDeps {
  readonly channel: Channel;
  readonly views: Views;
  readonly random: Random;
  readonly tally: Tally;
}

/** How many names the objects that come and go share. */
const passingNames = 40;
const slowReadPauseMs = 100;
const slowReadPauses = 30;

interface Operation {
  /** Out of the sum of all. */
  readonly weight: number;
  run(requests: Requests): Promise<void>;
}

const operations: Readonly<Record<string, Operation>> = {
  get: { weight: 25, run: (requests) => requests.get() },
  list: { weight: 20, run: (requests) => requests.list() },
  pages: { weight: 3, run: (requests) => requests.pages() },
  encoded: { weight: 5, run: (requests) => requests.listEncoded() },
  create: { weight: 12, run: (requests) => requests.create() },
  patch: { weight: 12, run: (requests) => requests.patch() },
  delete: { weight: 10, run: (requests) => requests.delete() },
  deletecollection: { weight: 1, run: (requests) => requests.deleteCollection() },
  "list left early": { weight: 3, run: (requests) => requests.leaveEarly() },
  "list read slowly": { weight: 0.2, run: (requests) => requests.readSlowly() },
  other: { weight: 5, run: (requests) => requests.other() },
};

const totalWeight = Object.values(operations).reduce((sum, { weight }) => sum + weight, 0);

function pickOperation(random: Random): string {
  let left = random.next() * totalWeight;
  for (const [name, { weight }] of Object.entries(operations)) {
    left -= weight;
    if (left < 0) return name;
  }
  return "get";
}

/** One worker's requests over its own channel, each judged by what came back. */
export class Requests {
  readonly #deps: RequestDeps;
  #operation = "";

  constructor(deps: RequestDeps) {
    this.#deps = deps;
  }

  /** Runs one operation, chosen at random. Never rejects: what fails is a violation, unless the API server is away. */
  async runOne(): Promise<void> {
    const { random, views, tally } = this.#deps;
    const name = pickOperation(random);
    this.#operation = name;
    const startMs = performance.now();
    try {
      await answered(operations[name]?.run(this));
    } catch (error) {
      if (error instanceof Postponed) return;
      const reason = error instanceof Error ? error.message : String(error);
      if (views.isOutage(startMs, performance.now())) tally.answered(name, "outage");
      else {
        tally.answered(name, "failed");
        tally.violation(`${name}: ${reason}`);
      }
    }
  }

  async get(): Promise<void> {
    const resource = this.#anyResource();
    const team = this.#deps.random.pick(teams);
    const name = lastingName(team, this.#deps.random.below(kinds[resource].lasting));
    await this.#ask({ path: `${pathOf(resource, team)}/${name}` }, [200]);
  }

  async list(): Promise<void> {
    const resource = this.#anyResource();
    const startMs = performance.now();
    const answer = await this.#ask({ path: pathOf(resource) }, [200]);
    this.#judgeList(resource, JSON.parse(answer.toString()).items, startMs);
  }

  /** Pages belong together only while the view stays; after a change the next one is refused. */
  async pages(): Promise<void> {
    const resource = this.#deps.random.pick(["secrets", "serviceaccounts"] as const);
    const startMs = performance.now();
    const items: KubernetesObject[] = [];
    let token = "";
    do {
      const path = `${pathOf(resource)}?limit=45&continue=${encodeURIComponent(token)}`;
      const { status, body } = await this.#answer({ path }, token === "" ? [200] : [200, 410]);
      if (status === 410) return;
      const list = JSON.parse(body.toString());
      items.push(...list.items);
      token = list.metadata.continue ?? "";
    } while (token !== "");
    this.#judgeList(resource, items, startMs);
  }

  async listEncoded(): Promise<void> {
    const resource = this.#deps.random.pick(["configmaps", "secrets"] as const);
    const accept = this.#deps.random.pick([
      "application/vnd.kubernetes.protobuf",
      "application/json;as=Table;g=meta.k8s.io;v=v1",
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    ]);
    const startMs = performance.now();
    const bytes = await this.#ask({ path: pathOf(resource), headers: { accept } }, [200]);
    const views = this.#deps.views.possible(startMs, performance.now());
    const wrong = wrongInBytes(resource, bytes, views);
    if (wrong !== undefined) this.#deps.tally.violation(`${accept} list of ${resource}: ${wrong}`);
  }

  async create(): Promise<void> {
    const { resource, team, name } = this.#passing();
    const body = JSON.stringify(objectOf(kinds[resource].kind, team, name, 100));
    await this.#ask({ method: "POST", path: pathOf(resource, team), body }, [201, 409, 403]);
  }

  async patch(): Promise<void> {
    const { resource, team, name } = this.#passing();
    const note = String(this.#deps.random.below(1_000_000));
    const body = JSON.stringify({ metadata: { annotations: { note } } });
    const headers = { "content-type": "application/merge-patch+json" };
    await this.#ask(
      { method: "PATCH", path: `${pathOf(resource, team)}/${name}`, headers, body },
      [200, 404, 403],
    );
  }

  async delete(): Promise<void> {
    const { resource, team, name } = this.#passing();
    await this.#ask({ method: "DELETE", path: `${pathOf(resource, team)}/${name}` }, [200, 404, 403]);
  }

  async deleteCollection(): Promise<void> {
    const { resource, team } = this.#passing();
    const path = `${pathOf(resource, team)}?labelSelector=passing%3Dtrue`;
    await this.#ask({ method: "DELETE", path }, [200, 403]);
  }

  async leaveEarly(): Promise<void> {
    const answer = await this.#open({ path: pathOf("serviceaccounts") });
    if (this.#deps.random.below(2) === 0) await answer.body.iterator({ destroyOnReturn: false }).next();
    answer.cancel();
    this.#expect(answer.status, [200]);
  }

  /** Slower than the API server: what it sends waits in the proxy, bounded. */
  async readSlowly(): Promise<void> {
    const { tally, views } = this.#deps;
    const startMs = performance.now();
    const answer = await this.#open({ path: pathOf("serviceaccounts") });
    this.#expect(answer.status, [200]);
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) {
      chunks.push(chunk);
      if (chunks.length <= slowReadPauses) await wait(slowReadPauseMs);
    }
    const list = JSON.parse(Buffer.concat(chunks).toString());
    const wrong = wrongInList("serviceaccounts", list.items, views.possible(startMs, performance.now()));
    if (wrong !== undefined) tally.violation(`slow list: ${wrong}`);
  }

  async other(): Promise<void> {
    const { random } = this.#deps;
    const known = ["/version", "/api/v1", "/apis", "/openapi/v3", "/api/v1/namespaces", "/healthz"];
    const unknown = [`/api/v1/nothing${random.below(500)}`, "/apis/none.example.com/v1/things"];
    if (random.below(4) === 0) await this.#ask({ path: random.pick(unknown) }, [404, 429]);
    else await this.#ask({ path: random.pick(known) }, [200]);
  }

  #judgeList(resource: Resource, items: readonly KubernetesObject[], startMs: number): void {
    const { views, tally } = this.#deps;
    const wrong = wrongInList(resource, items, views.possible(startMs, performance.now()));
    if (wrong !== undefined) tally.violation(`list of ${resource}: ${wrong}`);
  }

  async #ask(call: Call, statuses: readonly number[]): Promise<Buffer> {
    return (await this.#answer(call, statuses)).body;
  }

  async #answer(call: Call, statuses: readonly number[]): Promise<{ status: number; body: Buffer }> {
    const { status, body } = await this.#open(call);
    const bytes = Buffer.concat(await body.toArray());
    if (isPostponed(status, call.path)) {
      this.#deps.tally.answered(this.#operation, status);
      throw new Postponed();
    }
    this.#expect(
      status,
      statuses,
      () => `${call.method ?? "GET"} ${call.path}: ${bytes.toString().slice(0, 300)}`,
    );
    return { status, body: bytes };
  }

  #open(call: Call): Promise<Answer> {
    const { channel, tally } = this.#deps;
    tally.sent(channel.protocol);
    return channel.send(call);
  }

  #expect(status: number, statuses: readonly number[], detail: () => string = () => ""): void {
    if (!statuses.includes(status)) throw new Error(`status ${status} ${detail()}`);
    this.#deps.tally.answered(this.#operation, status);
  }

  #anyResource(): Resource {
    const { random } = this.#deps;
    // The large one is rare: its bytes would be all that the soak is about.
    return random.below(20) === 0 ? "serviceaccounts" : random.pick(["configmaps", "secrets"] as const);
  }

  #passing(): { resource: Resource; team: string; name: string } {
    const { random } = this.#deps;
    const resource = random.pick(["configmaps", "secrets", "serviceaccounts"] as const);
    return { resource, team: random.pick(teams), name: `passing-${random.below(passingNames)}` };
  }
}

async function answered(operation: Promise<void> | undefined): Promise<void> {
  const deadline = new AbortController();
  const late = wait(answerMs, undefined, { signal: deadline.signal }).then(() => {
    throw new Error(`no answer within ${answerMs} ms`);
  });
  try {
    await Promise.race([operation, late]);
  } finally {
    deadline.abort();
    late.catch(() => undefined);
  }
}

function pathOf(resource: Resource, team?: string): string {
  return team === undefined ? `/api/v1/${resource}` : `/api/v1/namespaces/${namespaceOf(team)}/${resource}`;
}
