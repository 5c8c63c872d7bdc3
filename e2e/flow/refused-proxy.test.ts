import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { caBundleKeys, controlAudience, wellKnown } from "#api/names";
import { systemClock } from "#runtime/clock";
import { operatorNamespace, podOf, startOperators } from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import type { ManagerProcess } from "./manager-process.ts";
import { kinds, Mesh } from "./mesh.ts";
import { type PodNow, readPod, requestToken, textOf, trustedAuthorities } from "./pod-client.ts";
import { type ProxyOptions, ProxyProcess } from "./proxy-process.ts";
import { statusIn } from "./raw-client.ts";

/** Proxies by hand, each with one thing wrong about its token, against a running manager. */

const never = new AbortController().signal;
const plainNamespace = "plain";
const account = { namespace: plainNamespace, serviceAccount: "default" };
/** The cluster's clock, which one test turns back to be given a token that has expired since. */
let clockOffsetMs = 0;
let mesh: Mesh;
let manager: ManagerProcess;
let injected: PodNow;
let other: PodNow;

before(async () => {
  mesh = await Mesh.open({ clock: { ...systemClock, now: () => systemClock.now() + clockOffsetMs } });
  manager = await mesh.manager();
  await manager.start();
  await mesh.namespace("team-a");
  await mesh.namespace("team-b");
  await startOperators(mesh, [
    { name: "digest-a", ordinal: 0, namespaces: ["team-a"] },
    { name: "digest-b", ordinal: 1, namespaces: ["team-b"] },
  ]);
  injected = await readPod(mesh, podOf(0));
  other = await readPod(mesh, podOf(1));
  await mesh.namespace(plainNamespace);
});
after(() => mesh[Symbol.asyncDispose]());

/** Runs a pod of a namespace that is not opted in; resolves when it is in that phase. */
async function plainPod(name: string, script: string, phase: "Running" | "Succeeded"): Promise<PodNow> {
  const command = ["node", "-e", script];
  await mesh.apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: plainNamespace },
    spec: { restartPolicy: "Never", containers: [{ name: "main", image: "digest-operator", command }] },
  });
  await eventually(`pod ${name} is ${phase}`, async () => {
    const { status } = await mesh.get(kinds.pods, plainNamespace, name);
    return (status as { phase?: string } | undefined)?.phase === phase;
  });
  return await readPod(mesh, name, plainNamespace);
}

interface Impostor {
  /** Pod that the proxy says it is. */
  readonly pod: PodNow;
  readonly token: string | undefined;
}

interface Case {
  readonly title: string;
  readonly impostor: () => Promise<Impostor>;
  readonly code: string;
  readonly reason: RegExp;
}

const audience = controlAudience;
const cases: readonly Case[] = [
  {
    title: "no token",
    impostor: async () => ({ pod: injected, token: undefined }),
    code: "FILE_UNREADABLE",
    reason: /control-token: ENOENT/,
  },
  {
    title: "an empty token",
    impostor: async () => ({ pod: injected, token: "\n" }),
    code: "FILE_UNREADABLE",
    reason: /the token is empty/,
  },
  {
    title: "a forged token",
    impostor: async () => {
      const [head, claims] = (await requestToken(mesh, { pod: injected, audience })).split(".");
      return { pod: injected, token: `${head}.${claims}.${Buffer.alloc(64, 7).toString("base64url")}` };
    },
    code: "UNAUTHENTICATED",
    reason: /does not accept the token/,
  },
  {
    title: "an expired token",
    impostor: async () => {
      clockOffsetMs = -7_200_000;
      try {
        const token = await requestToken(mesh, { pod: injected, audience, expirationSeconds: 3600 });
        return { pod: injected, token };
      } finally {
        clockOffsetMs = 0;
      }
    },
    code: "UNAUTHENTICATED",
    reason: /does not accept the token/,
  },
  {
    title: "a token for the API server, not for the control stream",
    impostor: async () => ({ pod: injected, token: await requestToken(mesh, { pod: injected }) }),
    code: "UNAUTHENTICATED",
    reason: /does not accept the token for audience ctrlmesh/,
  },
  {
    title: "the token of a pod that was deleted",
    impostor: async () => {
      const pod = await plainPod("deleted", "setInterval(() => {}, 1e6)", "Running");
      const token = await requestToken(mesh, { ...account, pod, audience });
      const name = { namespace: plainNamespace, name: pod.name };
      await mesh.client.delete(kinds.pods, name, { signal: never, gracePeriodSeconds: 0 });
      await eventually("the pod is gone", async () => {
        return (await mesh.list(kinds.pods, { namespace: plainNamespace })).every(
          ({ metadata }) => metadata?.uid !== pod.uid,
        );
      });
      return { pod, token };
    },
    code: "UNAUTHENTICATED",
    reason: /does not accept the token/,
  },
  {
    title: "a token that is bound to no pod",
    impostor: async () => ({ pod: injected, token: await requestToken(mesh, { audience }) }),
    code: "POD_NOT_BOUND",
    reason: /the token is not bound to a pod/,
  },
  {
    title: "the token of another injected pod",
    impostor: async () => ({
      pod: injected,
      token: await requestToken(mesh, { pod: other, audience }),
    }),
    code: "POD_NOT_BOUND",
    reason: /the token is bound to the pod with UID/,
  },
  {
    title: "the token of a pod that has ended",
    impostor: async () => {
      const pod = await plainPod("ended", "", "Succeeded");
      return { pod, token: await requestToken(mesh, { ...account, pod, audience }) };
    },
    code: "POD_NOT_FOUND",
    reason: /the pod has ended \(Succeeded\)/,
  },
  {
    title: "the token of a pod that was not injected",
    impostor: async () => {
      const pod = await plainPod("uninjected", "setInterval(() => {}, 1e6)", "Running");
      return { pod, token: await requestToken(mesh, { ...account, pod, audience }) };
    },
    code: "POD_NOT_INJECTED",
    reason: /the pod was not injected/,
  },
];

/** @param listens whether it finds a serving certificate on its disk, else it can't even listen */
async function proxyOptions(
  title: string,
  { pod, token }: Impostor,
  listens: boolean,
): Promise<ProxyOptions> {
  const folder = join(mesh.cluster.folder, "by-hand", title.replaceAll(/\W+/g, "-"));
  const bundle = await mesh.get(kinds.configMaps, operatorNamespace, wellKnown.caBundleConfigMap);
  if (listens) {
    const volumes = join(mesh.cluster.folder, "pods", injected.uid, "volumes");
    mkdirSync(join(folder, "state"), { recursive: true });
    copyFileSync(join(volumes, "ctrlmesh-state/serving.pem"), join(folder, "state/serving.pem"));
  }
  return {
    folder,
    pod: { ...pod, namespace: operatorNamespace },
    managerPort: manager.controlPort,
    meshCa: textOf(bundle, caBundleKeys.mesh),
    controlToken: token,
    apiServer: { port: mesh.cluster.api.port, ca: textOf(bundle, caBundleKeys.cluster) },
    upstreamToken: await requestToken(mesh, { pod: injected }),
  };
}

for (const [index, { title, impostor, code, reason }] of cases.entries()) {
  test(`refused proxy: with ${title} it gets no rules, says ${code}, and nothing passes`, async () => {
    const options = await proxyOptions(title, await impostor(), true);
    await using proxy = await ProxyProcess.start(options);
    let page = "";
    await eventually(
      `readiness says ${code}`,
      async () => {
        const { status, text } = await proxy.readiness();
        page = text;
        return status === 503 && text.includes(`no snapshot yet, no control stream (${code})`);
      },
      { detail: () => `${page}\n${proxy.log()}` },
    );
    assert.match(page, reason);
    const told = proxy
      .log()
      .split("\n")
      .find((line) => line.includes("no control stream"));
    assert.match(told ?? "", new RegExp(code));
    assert.match(told ?? "", reason);

    const client = proxy.client(await trustedAuthorities(mesh), options.upstreamToken);
    for (const target of [`/api/v1/configmaps?labelSelector=mark!=${index}`, "/version", "/api/v1/pods"]) {
      const answer = await client.request({ target });
      assert.equal(answer.status, 429, answer.body);
      assert.match(statusIn(answer).message, /no rules from the manager yet/);
    }
    assert.equal(await proxy.metric("snapshot_revision"), 0);
    assert.equal(proxy.hasStoredSnapshot, false);
    assert.equal(
      mesh.requests.some(({ target }) => target.includes(`mark!=${index}`)),
      false,
      "nothing reached the API server",
    );
  });
}

test("refused proxy: one that never had a certificate does not even listen", async () => {
  const impostor = { pod: injected, token: await requestToken(mesh, { audience }) };
  const options = await proxyOptions("never certified", impostor, false);
  await using proxy = await ProxyProcess.start(options);
  await eventually("readiness says why", async () => {
    return (await proxy.readiness()).text.includes(
      "no serving certificate yet, no control stream (POD_NOT_BOUND)",
    );
  });
  const client = proxy.client(await trustedAuthorities(mesh), options.upstreamToken);
  await assert.rejects(client.request({ target: "/version" }), { code: "ECONNREFUSED" });
});

test("refused proxy: with the pod's own token the same process is given its rules", async () => {
  const token = await requestToken(mesh, { pod: injected, audience });
  const options = await proxyOptions("rightful", { pod: injected, token }, false);
  await using proxy = await ProxyProcess.start(options);
  await proxy.untilReady();
  const client = proxy.client(await trustedAuthorities(mesh), options.upstreamToken);
  const answer = await client.request({ target: "/api/v1/configmaps?labelSelector=mark!=rightful" });
  assert.equal(answer.status, 200, answer.body);
  const sent = mesh.requests.find(({ target }) => target.includes("rightful"));
  assert.match(sent?.labelSelector ?? "", /team-a/);
});
