import { spawn } from "node:child_process";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { Clock } from "#runtime/clock";
import type { Container, Probe } from "./pod-spec.ts";

export interface ProbeTarget {
  readonly podIp: string;
  readonly container: Container;
  /** Runs a command as the container's exec would; resolves with its exit code. */
  readonly exec: (command: readonly string[]) => Promise<number>;
}

/** One attempt; true means success. A port may be a number or the name of a container port. */
export function attempt(probe: Probe, target: ProbeTarget): Promise<boolean> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.exec !== undefined) return target.exec(probe.exec.command).then((code) => code === 0);
  if (probe.tcpSocket !== undefined) {
    const { host, port } = probe.tcpSocket;
    return connects(host ?? target.podIp, portOf(port, target.container), timeoutMs);
  }
  if (probe.httpGet !== undefined) {
    const { scheme, host, port, path } = probe.httpGet;
    const call = scheme === "HTTPS" ? httpsRequest : httpRequest;
    return new Promise((resolve) => {
      const outgoing = call(
        {
          host: host ?? target.podIp,
          port: portOf(port, target.container),
          path: path ?? "/",
          timeout: timeoutMs,
          // The kubelet does not verify certificates of probes.
          rejectUnauthorized: false,
          agent: false,
        },
        (response) => {
          response.resume();
          const status = response.statusCode ?? 0;
          resolve(status >= 200 && status < 400);
        },
      );
      outgoing.on("timeout", () => outgoing.destroy());
      outgoing.on("error", () => resolve(false));
      outgoing.end();
    });
  }
  return Promise.resolve(true);
}

/**
 * Probes until the signal aborts and tells each change of the verdict, which starts as false. A verdict turns
 * true after `successThreshold` successes, false after `failureThreshold` failures in a row.
 */
export async function watchProbe(
  probe: Probe,
  target: ProbeTarget,
  clock: Clock,
  signal: AbortSignal,
  onVerdict: (success: boolean) => void,
): Promise<void> {
  const periodMs = Math.max(0.1, probe.periodSeconds ?? 10) * 1000;
  let streak = 0;
  let verdict: boolean | undefined;
  // While the verdict is not yet positive, ask faster than the period: processes start in milliseconds here.
  const eagerMs = Math.min(periodMs, 200);
  while (!signal.aborted) {
    const success = await attempt(probe, target);
    if (signal.aborted) return;
    streak = success ? Math.max(streak, 0) + 1 : Math.min(streak, 0) - 1;
    const turned = success
      ? streak >= (probe.successThreshold ?? 1)
      : -streak >= (probe.failureThreshold ?? 3);
    if (turned && verdict !== success) {
      verdict = success;
      onVerdict(success);
    }
    await clock.sleep(verdict === true ? periodMs : eagerMs, signal).catch(() => undefined);
  }
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === "number") return port;
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
}

function connects(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (success: boolean): void => {
      socket.destroy();
      resolve(success);
    };
    socket.on("connect", () => end(true));
    socket.on("timeout", () => end(false));
    socket.on("error", () => end(false));
  });
}

/** Runs a command with an environment; resolves with the exit code, 127 when it can't be started. */
export function execCommand(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const [program = "", ...args] = argv;
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { ...environment }, stdio: "ignore" });
    child.once("error", () => resolve(127));
    child.once("close", (code) => resolve(code ?? 1));
  });
}
