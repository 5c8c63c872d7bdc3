import { wellKnown } from "#api/names";
import { version as ownVersion } from "#api/version";
import { type LeaseSpec, leaseSpecOf } from "#kube/client/lease-spec";
import { systemClock } from "#runtime/clock";
import { kinds } from "../kinds.ts";
import { skewBetween } from "../version-skew.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Finding } from "./finding.ts";
import { readIfThere } from "./read.ts";

/** Part of the lease's duration within which a living leader renews it several times. */
const renewalShare = 0.4;
const pollMs = 250;
const fallbackLeaseSeconds = 15;
/** The API server's clock is read to a second, and some calls lie between. */
const clockSlackMs = 5_000;

/** Whether a manager leads, of which version, and whether its clock goes with the API server's. */
export const managerCheck: Check = {
  name: "manager",
  phases: ["after"],
  run: async (context) => {
    const { settings } = context;
    const lease = await readLease(context);
    if (lease === undefined || lease.holderIdentity === "" || lease.renewTime === undefined) {
      return { summary: "no replica leads", findings: [managerDown(context, "no replica holds the lease")] };
    }
    const findings = await judgeLease(lease, context);
    const leader = settings.state?.endpoints?.find((each) => each.leader);
    const isDown = findings.some(({ code }) => code === "ManagerDown");
    return {
      summary: isDown
        ? "no replica leads"
        : `${leader?.name ?? lease.holderIdentity} leads, version ${settings.version ?? "unknown"}`,
      findings: [...findings, ...judgeOwnVersion(settings.version)],
    };
  },
};

async function readLease({ client, settings, signal }: CheckContext): Promise<LeaseSpec | undefined> {
  const name = { namespace: settings.namespace, name: wellKnown.managerLease };
  const lease = await readIfThere(client, kinds.leases, name, { signal });
  return lease === undefined ? undefined : leaseSpecOf(lease);
}

/**
 * A lease that was renewed a while ago belongs to a manager that is gone, or to one whose clock is behind: only the
 * latter renews it again.
 */
async function judgeLease(lease: LeaseSpec, context: CheckContext): Promise<Finding[]> {
  const nowMs = context.serverNowMs ?? systemClock.now();
  const agoMs = nowMs - Date.parse(lease.renewTime ?? "");
  if (agoMs < -clockSlackMs) return [managerClock(context, lease, `${seconds(-agoMs)} s ahead of`)];
  const leaseMs = (lease.leaseDurationSeconds ?? fallbackLeaseSeconds) * 1000;
  if (agoMs <= leaseMs) return [];
  const isRenewed = await renews(lease, context);
  if (isRenewed) return [managerClock(context, lease, `${seconds(agoMs)} s behind`)];
  const what = `${lease.holderIdentity} renewed the lease ${seconds(agoMs)} s ago and no replica took it over`;
  return [managerDown(context, what)];
}

async function renews(lease: LeaseSpec, context: CheckContext): Promise<boolean> {
  const leaseSeconds = lease.leaseDurationSeconds ?? fallbackLeaseSeconds;
  const untilMs = systemClock.monotonicMs() + leaseSeconds * 1000 * renewalShare;
  while (systemClock.monotonicMs() < untilMs) {
    await systemClock.sleep(pollMs, context.signal);
    const next = await readLease(context);
    if (next?.renewTime !== lease.renewTime) return true;
  }
  return false;
}

function managerDown({ settings }: CheckContext, what: string): Finding {
  return {
    level: "error",
    code: "ManagerDown",
    where: `Lease ${settings.namespace}/${wellKnown.managerLease}`,
    what,
    remedy: `kubectl -n ${settings.namespace} get pods -l control-plane=ctrlmesh`,
  };
}

function managerClock({ settings }: CheckContext, { holderIdentity }: LeaseSpec, skew: string): Finding {
  return {
    level: "error",
    code: "ClockSkew",
    where: `Lease ${settings.namespace}/${wellKnown.managerLease}`,
    what: `the clock of ${holderIdentity} is ${skew} the API server's: certificates that it issues begin and end at other times than it thinks`,
    remedy: "synchronize the clocks (NTP) of the nodes",
  };
}

function judgeOwnVersion(managerVersion: string | undefined): Finding[] {
  const skew = managerVersion === undefined ? undefined : skewBetween(ownVersion, managerVersion);
  if (skew === undefined) return [];
  return [
    {
      level: "warning",
      code: "VersionSkew",
      where: "this program",
      what: `its version ${ownVersion} is ${skew} the manager's ${managerVersion}: it may judge by other rules`,
      remedy: `use ctrlmesh ${managerVersion}`,
    },
  ];
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}
