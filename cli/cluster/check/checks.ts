import { toCtrlmeshError } from "#api/errors";
import { isApiError } from "#kube/client/api-error";
import { apiServerCheck } from "./api-server.ts";
import { bundlesCheck } from "./bundles.ts";
import { certificatesCheck } from "./certificates.ts";
import type { Check, CheckContext } from "./check.ts";
import { clockCheck } from "./clock.ts";
import { crdCheck } from "./crds.ts";
import type { CheckOutcome } from "./finding.ts";
import { installRightsCheck } from "./install-rights.ts";
import { labelsCheck } from "./labels.ts";
import { leasesCheck } from "./leases.ts";
import { managerCheck } from "./manager.ts";
import { managerRightsCheck } from "./manager-rights.ts";
import { podsCheck } from "./pods.ts";
import { policiesCheck } from "./policies.ts";
import { proxiesCheck } from "./proxies.ts";
import { shardsCheck } from "./shards.ts";
import { webhooksCheck } from "./webhooks.ts";

/** In the order of their answers: what others rest on comes first. */
export const checks: readonly Check[] = [
  apiServerCheck,
  clockCheck,
  installRightsCheck,
  crdCheck,
  managerRightsCheck,
  managerCheck,
  certificatesCheck,
  webhooksCheck,
  policiesCheck,
  bundlesCheck,
  shardsCheck,
  podsCheck,
  proxiesCheck,
  labelsCheck,
  leasesCheck,
];

/** Runs one check. What it may not read, or can't, is a finding of its own: a check that was not made proves nothing. */
export async function runCheck(check: Check, context: CheckContext): Promise<CheckOutcome> {
  try {
    return await check.run(context);
  } catch (thrown) {
    context.signal.throwIfAborted();
    const error = toCtrlmeshError(thrown);
    if (isApiError(error, "API_UNREACHABLE")) throw error;
    return {
      summary: "not checked",
      findings: [
        {
          level: "warning",
          code: "NotChecked",
          where: check.name,
          what: error.message,
          remedy: isApiError(error, "API_FORBIDDEN")
            ? "run it as somebody who may read this"
            : "run it again",
        },
      ],
    };
  }
}
