import { request } from "node:http";
import { environment } from "#api/names";
import { ports } from "#api/ports";
import { type Clock, systemClock } from "#runtime/clock";
import { optionalText } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";

export const waitReadySettings = {
  url: optionalText(
    { description: `address to ask; default: http://$${environment.podIp}:${ports.proxyAdmin}/readyz` },
    "URL",
  ),
} as const;

const pauseMs = 200;
const answerTimeoutMs = 2000;

/**
 * `ctrlmesh wait-ready`: the start gate of an operator where there are no native sidecars. It asks until the
 * proxy is ready and never gives up with success: the kubelet ends it with the pod.
 */
export async function runWaitReady(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: "ctrlmesh wait-ready",
    about: "Waits until the proxy of this pod is ready.",
    table: waitReadySettings,
    argv,
    env,
  });
  if (settings === undefined) return 0;
  const podIp = env[environment.podIp] ?? "127.0.0.1";
  const host = podIp.includes(":") ? `[${podIp}]` : podIp;
  const url = settings.url ?? `http://${host}:${ports.proxyAdmin}/readyz`;
  await waitReady(new URL(url), systemClock, new AbortController().signal);
  return 0;
}

/** Resolves after the first answer of 2xx; rejects with the signal's reason when it aborts first. */
export async function waitReady(url: URL, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!(await isReady(url, signal))) await clock.sleep(pauseMs, signal);
}

function isReady(url: URL, signal: AbortSignal): Promise<boolean> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
  return new Promise((resolve) => {
    const outgoing = request(url, { agent: false, signal: deadline }, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 300);
    });
    outgoing.on("error", () => resolve(false));
    outgoing.end();
  });
}
