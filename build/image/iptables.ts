import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { file, type ImageFile, link } from "./image-file.ts";

/** Both kernels' sides: newer nodes have nftables, older ones only the tables of before. */
const programs = ["/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"];
/** The command that a program acts as is the name that it is called by. */
const commands = ["iptables", "ip6tables"].flatMap((family) =>
  ["", "-save", "-restore"].flatMap((suffix) => [
    { name: `${family}${suffix}`, program: "xtables-nft-multi" },
    { name: `${family}-nft${suffix}`, program: "xtables-nft-multi" },
    { name: `${family}-legacy${suffix}`, program: "xtables-legacy-multi" },
  ]),
);

/**
 * iptables and ip6tables with their extensions, as the init container of mode iptables calls them; those for bridges
 * and ARP stay out.
 *
 * @param root of a system where the Debian package iptables is installed, or a folder into which it was unpacked
 * @param libraryFolder multiarch folder, where the extensions lie under `xtables`
 * @throws Error with the remedy when it is not there
 */
export function iptablesFiles(root: string, libraryFolder: string): readonly ImageFile[] {
  const missing = programs.find((path) => !existsSync(join(root, path)));
  if (missing !== undefined) {
    throw new Error(
      `${join(root, missing)} is missing: apt-get install iptables, or name with --iptables-root a folder with the unpacked package`,
    );
  }
  const extensions = globSync(`${libraryFolder}/xtables/lib{xt,ipt,ip6t}_*.so`.slice(1), {
    cwd: root,
  }).sort();
  return [
    ...programs.map((path) => file(path, readFileSync(join(root, path)), true)),
    ...commands.map(({ name, program }) => link(`/usr/sbin/${name}`, program)),
    ...extensions.map((path) => file(`/${path}`, readFileSync(join(root, path)), true)),
  ];
}
