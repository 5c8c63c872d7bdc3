import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { CtrlmeshError } from "#api/errors";
import type { ProcessIdentity } from "../process-identity.ts";
import { containerdSocket } from "./configuration.ts";
import { insideNode } from "./namespaces.ts";

const pollMs = 20;
const knownTimeoutMs = 30_000;

/**
 * Puts an image archive (OCI layout or docker-archive) into a node, and waits until its kubelet would find it.
 *
 * @returns the names of the images in it
 * @throws FILE_UNREADABLE, CHILD_PROCESS_FAILED with what containerd said of the archive
 */
export async function loadImage(init: ProcessIdentity, archive: string): Promise<string[]> {
  const said = await ctr(init, ["images", "import", "-"], archive);
  const names = importedNames(said);
  if (names.length === 0)
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: `no image with a name in it: ${said}`,
      where: archive,
    });
  await untilKnown(init, names);
  return names;
}

/** The names in what `ctr images import` prints: "unpacking NAME (sha256:...)...done". */
export function importedNames(said: string): string[] {
  return [...said.matchAll(/^unpacking (\S+) \(sha256:/gm)].flatMap((match) => match[1] ?? []);
}

/** What the kubelet asks is told of new images a moment later, and marks those that it has taken up. */
async function untilKnown(init: ProcessIdentity, names: readonly string[]): Promise<void> {
  const deadline = performance.now() + knownTimeoutMs;
  for (;;) {
    const listed = await ctr(init, [
      "images",
      "list",
      'labels."io.cri-containerd.image"==managed',
      "--quiet",
    ]);
    const known = new Set(listed.split("\n"));
    if (names.every((name) => known.has(name))) return;
    if (performance.now() > deadline)
      throw new CtrlmeshError("TIMEOUT", { what: `the node has not taken up ${names.join(", ")}` });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function ctr(init: ProcessIdentity, args: readonly string[], stdin?: string): Promise<string> {
  const ctrCommand = ["ctr", "--address", containerdSocket, "--namespace", "k8s.io", ...args];
  const [program = "", ...rest] = insideNode(init, ctrCommand);
  const child = spawn(program, rest, { stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  const { stdin: input, stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new CtrlmeshError("INTERNAL", { what: "no pipes from ctr" });
  const output = Promise.all([text(stdout), text(stderr), once(child, "close")]);
  const fed = stdin === undefined || input === null ? undefined : feed(stdin, input);
  const [said, complained] = await output;
  await fed;
  if (child.exitCode === 0) return said;
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `ctr ${args.join(" ")}: ${complained.trim()}`,
    ...(stdin === undefined ? {} : { where: stdin }),
  });
}

/** An end of the reader before the end of the file is the reader's failure, told by its exit code. */
async function feed(path: string, input: NodeJS.WritableStream): Promise<void> {
  try {
    await pipeline(createReadStream(path), input);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") return;
    throw new CtrlmeshError("FILE_UNREADABLE", { what: `image archive: ${code}`, where: path, cause });
  }
}
