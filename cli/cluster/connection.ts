import { existsSync } from "node:fs";
import { join } from "node:path";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubeConnection } from "#kube/client/client";
import { type ConnectOptions, connect } from "#kube/client/connect";
import { systemClock } from "#runtime/clock";
import { duration, optionalText } from "#runtime/setting-types";
import type { Environment } from "#runtime/settings";
import { exitCodes } from "../exit-codes.ts";
import { Progress } from "../progress.ts";

/** Flags of every command that asks an API server; names are kubectl's. */
export const connectionSettings = {
  kubeconfig: optionalText(
    {
      description: "kubeconfig of the cluster; without it ~/.kube/config, or the pod's own service account",
      env: "KUBECONFIG",
    },
    "FILE",
  ),
  context: optionalText({ description: "context of the kubeconfig; without it the current one" }, "NAME"),
};

/** The deadline of a whole command. */
export function timeoutSetting(defaultMs: number) {
  return duration({
    description: "how long the whole command may take",
    minMs: 1000,
    maxMs: 86_400_000,
    default: defaultMs,
  });
}

export interface ConnectionFlags {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
}

/** An open connection with the deadline of the command. */
export interface ClusterSession {
  readonly client: KubeConnection;
  /** Aborts at the deadline, and when the user interrupts. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

const rateLimit = { qps: 200, burst: 400 };

/**
 * Runs a command against the cluster that the flags name. Resolves with its exit code, or that of an interrupt.
 *
 * @throws TIMEOUT, saying which step was under way; KUBECONFIG_INVALID, FILE_UNREADABLE; what `work` throws
 */
export async function withCluster(
  flags: ConnectionFlags,
  env: Environment,
  work: (session: ClusterSession) => Promise<number>,
): Promise<number> {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort(new Error("interrupted"));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const deadline = AbortSignal.timeout(flags.timeout);
  const progress = new Progress((text) => process.stderr.write(text), { quietMs: 1000 });
  try {
    await using client = await openConnection(flags, env);
    return await work({ client, signal: AbortSignal.any([deadline, interrupted.signal]), progress });
  } catch (thrown) {
    if (interrupted.signal.aborted) return exitCodes.interrupted;
    if (deadline.aborted) throw lateError(flags.timeout, progress.current, thrown);
    throw thrown;
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function lateError(timeoutMs: number, step: string | undefined, cause: unknown): CtrlmeshError {
  const { message } = toCtrlmeshError(cause);
  return new CtrlmeshError("TIMEOUT", {
    where: step ?? "the command",
    what: `not done within ${timeoutMs / 1000} s: ${message}`,
    hint: "look for what keeps it, or give --timeout more time",
    cause,
  });
}

async function openConnection(flags: ConnectionFlags, env: Environment): Promise<KubeConnection> {
  const options: ConnectOptions = {
    userAgent: "ctrlmesh-cli",
    rateLimit,
    ...identityOf(flags, env),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  };
  return await connect(options, { clock: systemClock, random: Math.random });
}

function identityOf({ kubeconfig }: ConnectionFlags, env: Environment): Partial<ConnectOptions> {
  if (kubeconfig !== undefined) return { kubeconfigFile: kubeconfig };
  const ownFile = env.HOME === undefined ? undefined : join(env.HOME, ".kube", "config");
  if (ownFile !== undefined && existsSync(ownFile)) return { kubeconfigFile: ownFile };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  return host === undefined || port === undefined ? {} : { inCluster: { host, port } };
}
