import { writeFileSync } from "node:fs";
import { CtrlmeshError } from "#api/errors";
import { duration, optionalText } from "#runtime/setting-types";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { exitCodes } from "../../exit-codes.ts";
import { programName } from "../../program-name.ts";
import { connectionSettings, timeoutSetting, withCluster } from "../connection.ts";
import { collect } from "./collect.ts";
import { tarGz } from "./tar.ts";

export const bundleSettings = {
  file: optionalText(
    { description: "archive to write; without it ctrlmesh-bundle-<time>.tar.gz", short: "f" },
    "FILE",
  ),
  namespace: optionalText(
    { description: "only the operators of this namespace; without it all of them", short: "n" },
    "NAME",
  ),
  since: duration({
    description: "how far back logs go",
    minMs: 1000,
    maxMs: 604_800_000,
    default: 86_400_000,
  }),
  ...connectionSettings,
  timeout: timeoutSetting(600_000),
};

/** `ctrlmesh bundle`: writes a support dump and prints its path. */
export async function runBundle(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} bundle`,
    about:
      "Writes what whoever helps you needs to see into one archive: our objects, status, logs and metrics of manager and proxies, events. Without secrets: no Secret is read, and what looks like a token, a key or a password is taken out of all else. Look at it before you send it.",
    table: bundleSettings,
    argv,
    env,
  });
  if (settings === undefined) return exitCodes.good;
  return await withCluster(settings, env, async (session) => {
    const now = new Date();
    const { namespace, since } = settings;
    const files = await collect({ namespace, sinceSeconds: Math.ceil(since / 1000) }, session);
    const name = `ctrlmesh-bundle-${now.toISOString().slice(0, 19).replaceAll(":", "")}`;
    const inFolder = files.map(({ path, content }) => ({ path: `${name}/${path}`, content }));
    const path = settings.file ?? `${name}.tar.gz`;
    writeArchive(path, tarGz(inFolder, now));
    process.stdout.write(`${path}\n`);
    return exitCodes.good;
  });
}

/** @throws INVALID_FLAG when nothing can be written there */
function writeArchive(path: string, archive: Buffer): void {
  try {
    writeFileSync(path, archive, { mode: 0o600 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CtrlmeshError("INVALID_FLAG", {
      where: "--file",
      what: `${JSON.stringify(path)} can't be written: ${reason}`,
      hint: "give the path of a file in a folder that exists",
      cause,
    });
  }
}
