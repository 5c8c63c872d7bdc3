import { existsSync } from "node:fs";
import { CtrlmeshError } from "#api/errors";
import { ports, proxyUid } from "#api/ports";
import { integer, list, oneOf, port, printAddress, toggle } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { iptablesBackends } from "#webhook/injection-request";
import { apiServerAddresses } from "./api-server-addresses.ts";
import { requireCapabilities } from "./capabilities.ts";
import { Iptables } from "./iptables.ts";
import {
  addressesOf,
  chain,
  type Family,
  families,
  jumpsIn,
  type Redirect,
  redirectsIn,
  rulesThatRedirect,
  rulesThatRemove,
} from "./rules.ts";

export const initSettings = {
  apiServer: list(
    {
      description: "address of the API server, besides that of the environment; may be repeated",
      default: [],
    },
    "IP:PORT",
  ),
  proxyPort: port({ description: "port of the proxy on loopback", default: ports.proxyApiserver }),
  exemptUid: integer({
    description: "user whose traffic is left alone: the proxy's",
    default: proxyUid,
    min: 1,
    max: 2_147_483_647,
  }),
  iptablesBackend: oneOf(iptablesBackends, {
    description: "packet filter of the kernel; legacy also needs NET_RAW",
    default: "nft",
  }),
  dryRun: toggle({ description: "print the rules and change nothing", default: false }),
  remove: toggle({ description: "take the rules away", default: false }),
} as const;

type Print = (text: string) => void;

/**
 * `ctrlmesh init`: leads what the pod's containers send to the API server to the proxy, and nothing else. Exact
 * and idempotent: run again, it puts the same rules in place of its earlier ones. Needs NET_ADMIN in the pod's
 * network namespace. What it did is on standard output, as the kernel tells it back.
 */
export async function runInit(
  argv: readonly string[],
  env: Environment,
  print: Print = (text) => void process.stdout.write(text),
): Promise<number> {
  const settings = await settingsOrHelp(
    {
      command: "ctrlmesh init",
      about: "Redirects this pod's traffic to the API server to the proxy (mode iptables).",
      table: initSettings,
      argv,
      env,
    },
    print,
  );
  if (settings === undefined) return 0;
  const { iptablesBackend: backend, dryRun, remove } = settings;
  const redirect: Redirect = {
    apiServer: remove ? [] : apiServerAddresses(settings.apiServer, env),
    proxyPort: settings.proxyPort,
    exemptUid: settings.exemptUid,
  };
  if (!dryRun) requireCapabilities(backend === "legacy" ? ["NET_ADMIN", "NET_RAW"] : ["NET_ADMIN"]);
  for (const family of families) {
    const isWanted = remove || addressesOf(family, redirect).length > 0;
    if (!isWanted) continue;
    const iptables = new Iptables(family, backend, env);
    if (dryRun)
      print(`# ${family}\n${remove ? rulesThatRemove([]) : rulesThatRedirect(family, redirect, [])}`);
    else if (!hasFamily(family)) print(`# ${family}: not in this kernel, so nothing can be sent by it\n`);
    else if (remove) removeRules(iptables);
    else print(`# ${family}, ${backend}\n${putRules(iptables, family, redirect)}`);
  }
  return 0;
}

/** The file is there wherever the kernel speaks IPv6, be it switched off for every interface. */
function hasFamily(family: Family): boolean {
  return family === "IPv4" || existsSync("/proc/net/if_inet6");
}

function removeRules(iptables: Iptables): void {
  iptables.restore(rulesThatRemove(jumpsIn(iptables.list())));
}

/** @returns our rules, as the kernel has them now */
function putRules(iptables: Iptables, family: Family, redirect: Redirect): string {
  iptables.restore(rulesThatRedirect(family, redirect, jumpsIn(iptables.list())));
  const listing = iptables.list();
  const wanted = addressesOf(family, redirect);
  if (jumpsIn(listing).length !== 1 || redirectsIn(listing) !== wanted.length) {
    throw new CtrlmeshError("REDIRECT_FAILED", {
      where: `${family}, table nat`,
      what: `the kernel does not show the rules for ${wanted.map(printAddress).join(", ")}: ${listing}`,
      hint: "does another program of this pod change the rules at the same time?",
    });
  }
  return listing
    .split("\n")
    .filter((line) => line.includes(chain))
    .map((line) => `${line}\n`)
    .join("");
}
