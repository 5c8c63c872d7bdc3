/** Answers why something is not in order; undefined when it is. Must be cheap and must not throw. */
export type HealthCheck = () => string | undefined;

export interface HealthReport {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly reason: string | undefined }[];
}

export const healthKinds = ["live", "ready", "started"] as const;
export type HealthKind = (typeof healthKinds)[number];

/**
 * Named checks behind the probes. `live` fails only when a restart would help; `ready` when no work should come;
 * `started` is ready once and stays so, since the kubelet restarts a container for a startup probe that never passed.
 */
export class Health {
  readonly #live = new Map<string, HealthCheck>();
  readonly #ready = new Map<string, HealthCheck>();
  #started = false;

  addLiveCheck(name: string, check: HealthCheck): void {
    this.#live.set(name, check);
  }

  addReadyCheck(name: string, check: HealthCheck): void {
    this.#ready.set(name, check);
  }

  report(kind: HealthKind): HealthReport {
    if (kind === "started" && this.#started) return { ok: true, checks: [] };
    const report = run(kind === "live" ? this.#live : this.#ready);
    if (kind !== "live" && report.ok) this.#started = true;
    return report;
  }
}

function run(named: ReadonlyMap<string, HealthCheck>): HealthReport {
  const checks = [...named].map(([name, check]) => ({ name, reason: check() }));
  return { ok: checks.every(({ reason }) => reason === undefined), checks };
}

/** The answer to a probe. JSON for programs, else one line per check as kube-apiserver's `?verbose` has them. */
export function renderHealth(
  report: HealthReport,
  form: "json" | "text",
): { readonly status: number; readonly contentType: string; readonly body: string } {
  const status = report.ok ? 200 : 503;
  if (form === "json") {
    const checks = report.checks.map(({ name, reason }) => ({ name, ok: reason === undefined, reason }));
    return {
      status,
      contentType: "application/json",
      body: `${JSON.stringify({ ok: report.ok, checks })}\n`,
    };
  }
  const lines = report.checks.map(({ name, reason }) =>
    reason === undefined ? `[+]${name} ok` : `[-]${name}: ${reason}`,
  );
  lines.push(report.ok ? "ok" : "failed");
  return { status, contentType: "text/plain; charset=utf-8", body: `${lines.join("\n")}\n` };
}
