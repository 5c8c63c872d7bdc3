import { version as ownVersion } from "#api/version";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { outputSetting, printAnswer } from "./print.ts";
import { programName } from "./program-name.ts";

export const versionSettings = { output: outputSetting };

/** `ctrlmesh version`: that of this program. Those of manager and proxies are in `ctrlmesh status`. */
export async function runVersion(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: `${programName()} version`,
    about: "Prints the version of this program.",
    table: versionSettings,
    argv,
    env,
  });
  if (settings === undefined) return 0;
  const answer = { version: ownVersion, node: process.version };
  await printAnswer(settings.output, answer, ({ version }) => `${version}\n`);
  return 0;
}
