import type { Setting } from "./setting-types.ts";

/** Settings by camelCase name. The flag is the name in kebab-case, the file key the name itself. */
export type SettingsTable = Readonly<Record<string, Setting<unknown>>>;

/** Flag and variable of the file with settings, the same for every command. */
export const configFlag = "config";
export const configVariable = "CTRLMESH_CONFIG";

/** "listenHost" is "listen-host" on the command line. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Environment variable of a setting. */
export function variableName(name: string, setting: Setting<unknown>): string {
  return setting.env ?? `CTRLMESH_${flagName(name).replaceAll("-", "_").toUpperCase()}`;
}
