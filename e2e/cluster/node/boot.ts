import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { CtrlmeshError } from "#api/errors";
import { ask } from "../api-request.ts";
import type { Credentials } from "../keys.ts";
import { isAlive, type ProcessIdentity } from "../process-identity.ts";
import { containerdSocket } from "./configuration.ts";
import { corednsManifests } from "./coredns.ts";
import { adminOf, apiServerUrl } from "./files.ts";
import { loadImage } from "./image-store.ts";
import { nodeImages } from "./images.ts";
import { inNetworkOf, startInside } from "./namespaces.ts";
import { type PartFacts, type PartName, partCommand } from "./parts.ts";

/** What a boot needs: a prepared folder, and an init that has its cable. */
export interface BootFacts extends PartFacts {
  readonly init: ProcessIdentity;
  /** Called as soon as a part runs. */
  readonly onPart: (name: PartName, identity: ProcessIdentity) => void;
}

const pollMs = 50;
/** For each step of a boot; a machine under load is slow. */
const stepTimeoutMs = 120_000;
const dnsProbe = fileURLToPath(new URL("dns-probe.ts", import.meta.url));

/**
 * Starts all parts and resolves when the node is ready and cluster DNS answers through its Service on both address
 * families.
 *
 * @throws TIMEOUT, CHILD_PROCESS_FAILED with the end of the log of the part that is to blame
 */
export async function boot(facts: BootFacts): Promise<void> {
  const runtime = startRuntime(facts);
  // Its failure is seen by the await below, which may come after it.
  runtime.catch(() => undefined);
  await startPart("etcd", facts);
  await startApiServer(facts);
  await startPart("kube-controller-manager", facts);
  await startPart("kube-scheduler", facts);
  await applyDns(facts);
  await runtime;
  await startPart("kubelet", facts);
  await startPart("kube-proxy", facts);
  await Promise.all([nodeIsReady(facts), accountExists(facts), dnsAnswers(facts)]);
}

/** Starts one part; its state lies in the cluster's folder. */
export async function startPart(name: PartName, facts: BootFacts): Promise<ProcessIdentity> {
  const identity = await startInside(facts.init, partCommand(name, facts), logPath(name, facts));
  facts.onPart(name, identity);
  return identity;
}

/** Starts kube-apiserver and waits until it is ready. */
export async function startApiServer(facts: BootFacts): Promise<void> {
  const name = "kube-apiserver";
  const identity = await startPart(name, facts);
  const admin = adminOf(facts.directory);
  const isReady = async () => (await ask(`${apiServerUrl(facts)}/readyz`, admin)).status === 200;
  await until(`${name} is ready`, isReady, { part: name, identity, facts });
}

async function startRuntime(facts: BootFacts): Promise<void> {
  const identity = await startPart("containerd", facts);
  const socket = `/proc/${facts.init.pid}/root${containerdSocket}`;
  const listens = () => Promise.resolve(existsSync(socket) && statSync(socket).isSocket());
  await until("containerd listens", listens, { part: "containerd", identity, facts });
  for (const image of nodeImages()) await loadImage(facts.init, image);
}

async function applyDns(facts: BootFacts): Promise<void> {
  const admin = adminOf(facts.directory);
  for (const { path, object } of corednsManifests(facts.plan)) {
    const url = `${apiServerUrl(facts)}${path}?fieldManager=ctrlmesh-cluster&force=true`;
    await until(`${path} is applied`, () => applies(url, admin, object), { part: "kube-apiserver", facts });
  }
}

async function applies(url: string, admin: Credentials, object: unknown): Promise<boolean> {
  const { status, body } = await ask(url, admin, {
    method: "PATCH",
    contentType: "application/apply-patch+yaml",
    body: JSON.stringify(object),
  });
  if (status === 422 || status === 400)
    throw new CtrlmeshError("API_REQUEST_FAILED", { what: body, where: url });
  return status === 200 || status === 201;
}

async function nodeIsReady(facts: BootFacts): Promise<void> {
  const admin = adminOf(facts.directory);
  const url = `${apiServerUrl(facts)}/api/v1/nodes/${facts.nodeName}`;
  const isReady = async () => {
    const { status, body } = await ask(url, admin);
    return status === 200 && isReadyNode(JSON.parse(body));
  };
  await until(`node ${facts.nodeName} is ready`, isReady, { part: "kubelet", facts });
}

interface NodeStatus {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

function isReadyNode(node: NodeStatus): boolean {
  const conditions = node.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

/** Before it is there, pods of the namespace `default` are refused. */
async function accountExists(facts: BootFacts): Promise<void> {
  const url = `${apiServerUrl(facts)}/api/v1/namespaces/default/serviceaccounts/default`;
  const exists = async () => (await ask(url, adminOf(facts.directory))).status === 200;
  await until("the service account default exists", exists, { part: "kube-controller-manager", facts });
}

/** The question goes the way of every pod's: to the Service's address, by kube-proxy's rules, to CoreDNS. */
async function dnsAnswers({ init, plan, directory }: BootFacts): Promise<void> {
  const name = "kubernetes.default.svc.cluster.local";
  const probe = [process.execPath, dnsProbe, name, `${stepTimeoutMs}`, plan.dns.ipv4, plan.dns.ipv6];
  const [program = "", ...args] = inNetworkOf(init, probe);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const [said] = await Promise.all([text(child.stderr), once(child, "close")]);
  if (child.exitCode === 0) return;
  throw new CtrlmeshError("TIMEOUT", {
    what: `cluster DNS does not answer: ${said.trim()}`,
    where: directory,
  });
}

interface Blame {
  readonly part: PartName;
  /** Fails at once when it has ended. */
  readonly identity?: ProcessIdentity;
  readonly facts: BootFacts;
}

async function until(
  what: string,
  holds: () => Promise<boolean>,
  { part, identity, facts }: Blame,
): Promise<void> {
  const deadline = performance.now() + stepTimeoutMs;
  while (!(await holds())) {
    const hasEnded = !isAlive(facts.init) || (identity !== undefined && !isAlive(identity));
    if (hasEnded || performance.now() > deadline)
      throw new CtrlmeshError("TIMEOUT", {
        what: `${hasEnded ? `${part} has ended before ${what}` : `not in time: ${what}`}: ${logEnd(part, facts)}`,
      });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function logPath(part: PartName, { directory }: PartFacts): string {
  return join(directory, "log", `${part}.log`);
}

function logEnd(part: PartName, facts: PartFacts): string {
  const path = logPath(part, facts);
  return existsSync(path) ? readFileSync(path, "utf8").slice(-1500) : "it has no log";
}
