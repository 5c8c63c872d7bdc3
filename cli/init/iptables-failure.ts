import { CtrlmeshError } from "#api/errors";
import type { IptablesBackend } from "#webhook/injection-request";

export interface FailedProgram {
  readonly program: string;
  readonly backend: IptablesBackend;
  readonly stderr: string;
  /** Why it could not be run at all. */
  readonly cause: Error | undefined;
}

/** What iptables says, in its several versions, when a right or a part of the kernel is missing. */
const forbidden = /permission denied|operation not permitted|you must be root/i;
const kernelLacks =
  /not supported|table does not exist|do you need to insmod|missing kernel module|no chain\/target\/match|incompatible with your kernel/i;

/** Says what went wrong with a program of iptables, where, and what to do. */
export function iptablesFailure({ program, backend, stderr, cause }: FailedProgram): CtrlmeshError {
  const said = stderr.trim().replaceAll(/\s*\n\s*/g, "; ");
  if (cause !== undefined) {
    const isMissing = "code" in cause && cause.code === "ENOENT";
    return new CtrlmeshError("REDIRECT_FAILED", {
      where: program,
      what: isMissing ? "there is no such program in PATH" : cause.message,
      hint: isMissing ? "use an image that has iptables in it" : "look at what keeps the node busy",
      cause,
    });
  }
  // First, since what the kernel lacks is often followed by advice about rights.
  if (kernelLacks.test(said)) {
    return new CtrlmeshError("REDIRECT_FAILED", {
      where: program,
      what: `the node's kernel can't hold the rules: ${said}`,
      hint: `${modulesOf(backend)}, or use proxy-mode: "env", which needs none`,
    });
  }
  if (forbidden.test(said)) return notPermitted(program, said);
  return new CtrlmeshError("REDIRECT_FAILED", { where: program, what: said === "" ? "it failed" : said });
}

/** The rights that the container lacks. */
export function notPermitted(where: string, what: string): CtrlmeshError {
  return new CtrlmeshError("REDIRECT_NOT_PERMITTED", {
    where,
    what,
    hint: 'let the container ctrlmesh-init run as root with the capability NET_ADMIN (and NET_RAW for the legacy backend): Pod Security must not be baseline or restricted in this namespace; or use proxy-mode: "env", which needs no rights',
  });
}

function modulesOf(backend: IptablesBackend): string {
  return backend === "nft"
    ? "load nf_tables, nft_compat, nf_nat, xt_owner and xt_REDIRECT on the node, let the manager run with --iptables-backend=legacy"
    : "load iptable_nat, ip6table_nat, xt_owner and xt_REDIRECT on the node";
}
