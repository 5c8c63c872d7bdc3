import type { ControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually, ProxiedOperator } from "../proxied/proxied-operator.ts";
import { SnapshotManager } from "../proxied/snapshot-manager.ts";
import { type Endpoint, type HttpClient, httpClient } from "./client.ts";
import { bulkData, customKind, twinData } from "./data.ts";
import { isRecord, type Scene } from "./row.ts";

/** What the proxy is told to add; the other team's objects are there to be left out. */
export const shardSelector = "team in (a)";

/** A control plane with data, and a proxy in front of it, for the same operator. */
export interface Stage extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly admin: Kubectl;
  readonly operator: ProxiedOperator;
  readonly manager: SnapshotManager;
  readonly direct: Endpoint;
  readonly proxied: Endpoint;
  /** A scene with a twin namespace that no other has. */
  scene(): Promise<Scene>;
}

/** Objects that are written at a time. */
const concurrency = 16;

/** Fills a control plane; from here on it is the stage that ends it. */
export async function setStage(plane: ControlPlane): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  stack.use(plane);
  const manager = stack.use(await SnapshotManager.listen());
  const meshCaPem = manager.authority.certificatePem;
  const operator = stack.use(await ProxiedOperator.create({ plane, managerPort: manager.port, meshCaPem }));
  const admin = kubectl(plane.kubeconfig);
  const direct = { port: Number(new URL(plane.url).port), ca: plane.caPem, token: operator.endpoint.token };
  const proxied = { port: operator.endpoint.port, ca: meshCaPem, token: operator.endpoint.token };
  const writer = stack.use(httpClient("http1", direct));

  await admin.ok(["create", "serviceaccount", "powerless", "-n", "op"]);
  const powerlessToken = (await admin.ok(["create", "token", "powerless", "-n", "op"])).trim();
  await admin.ok(["apply", "-f", "-"], JSON.stringify(customKind));
  await announced(writer);
  await createAll(writer, bulkData());
  operator.start();
  await manager.grantTeams(["a"]);
  await operator.untilReady();
  await using reader = httpClient("http1", proxied);
  for (const target of ["/api/v1/secrets", "/apis/differential.test/v1/widgets", "/api/v1/configmaps"])
    await reader.send({ target: `${target}?limit=1` }); // the floors of this view
  const historyStart = await writeHistory(writer);

  let twins = 0;
  const kept = stack.move();
  return {
    plane,
    admin,
    operator,
    manager,
    direct,
    proxied,
    scene: async () => {
      const twin = `twin-${String(++twins).padStart(3, "0")}`;
      await createAll(writer, twinData(twin));
      return { twin, historyStart, powerlessToken };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** An object and the path that it is posted to. */
export type Posted = readonly [path: string, object: object];

/** Namespaces first: each group is there before the next one begins. */
async function createAll(client: HttpClient, groups: readonly (readonly Posted[])[]): Promise<void> {
  for (const group of groups) {
    const queue = [...group];
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        for (let posted = queue.shift(); posted !== undefined; posted = queue.shift())
          await write(client, "POST", ...posted);
      }),
    );
  }
}

async function write(
  client: HttpClient,
  method: string,
  target: string,
  object: object,
  type = "application/json",
): Promise<unknown> {
  const body = JSON.stringify(object);
  const answer = await client.send({ method, target, headers: { "content-type": type }, body });
  if (answer.status >= 300) throw new Error(`${method} ${target}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body.toString());
}

/** Until the new kind is in discovery and in both OpenAPI documents, which the API server makes later. */
async function announced(client: HttpClient): Promise<void> {
  for (const target of [
    "/apis/differential.test/v1",
    "/openapi/v2",
    "/openapi/v3/apis/differential.test/v1",
  ]) {
    await eventually(
      async () => {
        const { status, body } = await client.send({ target });
        return status === 200 && body.includes("Widget");
      },
      () => `${target} does not tell of widgets`,
    );
  }
}

/**
 * Objects of both teams come, change, move from one team to the other and go.
 *
 * @returns resourceVersion of the state before
 */
async function writeHistory(client: HttpClient): Promise<string> {
  const first = await write(client, "POST", "/api/v1/namespaces/team-a/secrets", {
    metadata: { name: "first", labels: { team: "a" } },
  });
  const kinds = ["/api/v1/namespaces/NS/secrets", "/apis/differential.test/v1/namespaces/NS/widgets"];
  for (const kind of kinds) {
    for (const team of ["a", "b"]) {
      const path = kind.replace("NS", `team-${team}`);
      const isSecret = kind.endsWith("secrets");
      const made = (name: string): object => ({
        ...(isSecret ? {} : { apiVersion: "differential.test/v1", kind: "Widget", spec: { replicas: 1 } }),
        metadata: { name, labels: { team } },
      });
      const relabel = (labels: object): Promise<unknown> =>
        write(client, "PATCH", `${path}/moving`, { metadata: { labels } }, "application/merge-patch+json");
      await write(client, "POST", path, made("moving"));
      await write(client, "POST", path, made("gone"));
      await relabel({ changed: "yes" });
      await relabel({ team: team === "a" ? "b" : "a" });
      await relabel({ team });
      await client.send({ method: "DELETE", target: `${path}/gone` });
    }
  }
  const version = isRecord(first) && isRecord(first.metadata) ? first.metadata.resourceVersion : undefined;
  if (typeof version !== "string") throw new Error("no resourceVersion");
  return version;
}
