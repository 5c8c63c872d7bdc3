import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { file } from "../../../build/image/image-file.ts";
import { ociArchive } from "../../../build/image/oci-archive.ts";
import { goProgram } from "../go.ts";
import { corednsBinary } from "../versions.ts";
import { pauseImage } from "./configuration.ts";
import { corednsImage } from "./coredns.ts";

const pauseSource = fileURLToPath(new URL("pause", import.meta.url));

/** Path of the program that waits: a pod's sandbox, and a node's init. Built when its source has changed. */
export function pauseProgram(): string {
  return goProgram("pause", pauseSource);
}

/** Archives of the images that every node has; made when they are not there. */
export function nodeImages(): string[] {
  return [
    programImage({ program: pauseProgram(), reference: pauseImage, user: "65535:65535" }),
    // Root, but with no capability except that for port 53.
    programImage({ program: corednsBinary(), reference: corednsImage, user: "0:0" }),
  ];
}

export interface ProgramImage {
  /** Path of a static program; it becomes the entrypoint, at the image's root. */
  readonly program: string;
  /** Full name with registry and tag. */
  readonly reference: string;
  /** `UID:GID` */
  readonly user: string;
}

/**
 * An image of one static program, as an archive beside the program. It is made once for each program's path, which
 * must therefore tell versions apart.
 *
 * @returns the archive's path
 */
export function programImage({ program, reference, user }: ProgramImage): string {
  const archive = `${program}.tar`;
  if (existsSync(archive)) return archive;
  const path = `/${basename(program)}`;
  const { bytes } = ociArchive({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    reference,
    layers: [{ about: basename(program), files: [file(path, readFileSync(program), true)] }],
    run: { user, entrypoint: [path], environment: {}, labels: {} },
  });
  const partial = `${archive}.${process.pid}.partial`;
  writeFileSync(partial, bytes);
  renameSync(partial, archive);
  return archive;
}
