import type { Clock } from "#runtime/clock";
import type { Health } from "#runtime/health";
import type { ServingCertificate } from "./certificate.ts";
import type { SnapshotIntake } from "./control/snapshot-intake.ts";
import type { ControlClient } from "./control-client.ts";
import type { DataPlane } from "./data-plane.ts";

interface ReadinessSources {
  readonly dataPlane: DataPlane;
  readonly certificate: ServingCertificate;
  readonly intake: SnapshotIntake;
  readonly client: ControlClient;
  readonly clock: Clock;
  /** Aborts when the proxy is asked to end. */
  readonly signal: AbortSignal;
}

/**
 * Ready is: the operator is served, under a snapshot that grants. The control stream is no condition of its own,
 * since a proxy goes on with what it has; while something is missing, its state is the reason that people need.
 */
export function addReadyChecks(health: Health, sources: ReadinessSources): void {
  const { dataPlane, certificate, intake, client, clock, signal } = sources;
  const streamState = () => {
    const { failure } = client;
    return failure === undefined
      ? "waiting for the manager"
      : `no control stream (${failure.code}): ${failure.message}`;
  };
  health.addReadyCheck("certificate", () => {
    const { notAfterMs } = certificate;
    if (notAfterMs === undefined) return `no serving certificate yet, ${streamState()}`;
    if (notAfterMs > clock.now()) return undefined;
    return `the serving certificate expired at ${new Date(notAfterMs).toISOString()}, ${streamState()}`;
  });
  health.addReadyCheck("listener", () => (dataPlane.address === undefined ? "not listening yet" : undefined));
  health.addReadyCheck("snapshot", () => {
    const snapshot = intake.inForce;
    if (snapshot === undefined) return `no snapshot yet, ${streamState()}`;
    return snapshot.granted ? undefined : `not granted: ${snapshot.grantReason}`;
  });
  health.addReadyCheck("shutdown", () => (signal.aborted ? "draining" : undefined));
}
