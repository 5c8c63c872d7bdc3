import { createHash } from "node:crypto";
import { version } from "#api/version";
import type { DebianPackage } from "./debian-packages.ts";
import type { ImageFile } from "./image-file.ts";
import type { NpmPackage } from "./npm-packages.ts";

export interface BillOfMaterials {
  readonly nodeVersion: string;
  readonly npm: readonly NpmPackage[];
  /** Native programs and libraries in the image; with the package where it is known. */
  readonly native: readonly { readonly file: ImageFile; readonly package: DebianPackage | undefined }[];
}

/** The image's parts as CycloneDX 1.6. No serial number and no time, so the same parts give the same text. */
export function cycloneDx({ nodeVersion, npm, native }: BillOfMaterials): string {
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "container",
        name: "ctrlmesh",
        version,
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components: [
      {
        type: "platform",
        name: "node",
        version: nodeVersion,
        purl: `pkg:generic/node@${nodeVersion}`,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...npm.map(npmComponent),
      ...native.flatMap(({ file, package: of }) => (file.kind === "file" ? [nativeComponent(file, of)] : [])),
    ],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

function npmComponent({ name, version, license, integrity }: NpmPackage) {
  const [algorithm = "", digest = ""] = integrity?.split("-", 2) ?? [];
  return {
    type: "library",
    name,
    version,
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
    ...(algorithm === "sha512"
      ? { hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }] }
      : {}),
  };
}

function nativeComponent(
  { path, content }: Extract<ImageFile, { kind: "file" }>,
  package_: DebianPackage | undefined,
) {
  const purl = package_ && `pkg:deb/debian/${package_.name}@${encodeURIComponent(package_.version)}`;
  return {
    type: "file",
    name: path,
    ...(package_ === undefined ? {} : { version: package_.version, purl }),
    hashes: [{ alg: "SHA-256", content: createHash("sha256").update(content).digest("hex") }],
  };
}
