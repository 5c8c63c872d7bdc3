import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { isElf, parseElf } from "./elf.ts";
import { type ImageOptions, imageContents, imageRun } from "./image.ts";
import { withDirectories } from "./image-file.ts";
import { libraryFolders } from "./libraries.ts";

const architecture = process.arch === "arm64" ? "arm64" : "amd64";

/** Contents on this machine, with any library in the place of iptables, which need not be installed for a test. */
async function contentsHere(use: (options: ImageOptions) => Promise<void>): Promise<void> {
  const iptablesRoot = mkdtempSync(join(tmpdir(), "ctrlmesh-iptables-"));
  try {
    const library = `${libraryFolders[architecture]}/libgcc_s.so.1`;
    mkdirSync(join(iptablesRoot, "usr/sbin"), { recursive: true });
    mkdirSync(join(iptablesRoot, libraryFolders[architecture], "xtables"), { recursive: true });
    for (const path of [
      "usr/sbin/xtables-nft-multi",
      "usr/sbin/xtables-legacy-multi",
      `${libraryFolders[architecture]}/xtables/libxt_owner.so`,
      `${libraryFolders[architecture]}/xtables/libebt_arp.so`,
    ]) {
      copyFileSync(library, join(iptablesRoot, path));
    }
    await use({
      architecture,
      nodeBinary: process.execPath,
      nodeVersion: process.versions.node,
      libraryRoot: "/",
      iptablesRoot,
    });
  } finally {
    rmSync(iptablesRoot, { recursive: true });
  }
}

test("image: it holds all that its programs need to start, tells what it holds, and is the same each time", async () => {
  await contentsHere(async (options) => {
    const { layers, sbom } = await imageContents(options);
    const files = withDirectories(layers.flatMap((layer) => layer.files));
    const byPath = new Map(files.map((entry) => [entry.path, entry]));
    const names = new Set(files.map(({ path }) => basename(path)));
    for (const entry of files) {
      if (entry.kind !== "file" || entry.content.length < 64 || !isElf(entry.content)) continue;
      const { interpreter, needed } = parseElf(entry.content);
      const absent = [interpreter, ...needed].filter((name) => name && !names.has(basename(name)));
      assert.deepEqual(absent, [], entry.path);
    }
    const program = imageRun.entrypoint.at(-1) ?? "";
    assert.equal(byPath.get(program)?.kind, "file");
    assert.equal(imageRun.entrypoint[0], "/usr/bin/node");
    const command = byPath.get("/usr/bin/ctrlmesh");
    assert.equal(
      command?.kind === "link" && join("/usr/bin", command.target),
      "/usr/lib/ctrlmesh/ctrlmesh.cjs",
    );
    assert.ok(byPath.has("/usr/sbin/ip6tables-legacy-restore"));
    assert.ok(names.has("libxt_owner.so"));
    assert.ok(!names.has("libebt_arp.so"), "extensions for bridges stay out");
    for (const path of ["/usr/lib/ctrlmesh/proxy.cjs", "/usr/lib/ctrlmesh/ctrlmesh.cjs"]) {
      const bundle = byPath.get(path);
      assert.match(
        bundle?.kind === "file" ? bundle.content.toString("utf8", 0, 20) : "",
        /^#!\/usr\/bin\/node\n/,
      );
    }
    const { components } = JSON.parse(sbom) as {
      components: { type: string; name: string; version?: string; purl?: string; hashes?: unknown }[];
    };
    const named = (name: string) => components.find((component) => component.name === name);
    assert.equal(named("node")?.version, process.versions.node);
    assert.match(named("@peculiar/x509")?.purl ?? "", /^pkg:npm\/%40peculiar\/x509@\d/);
    assert.ok(named("fastify")?.hashes);
    assert.equal(named("esbuild"), undefined, "what only builds is not in the image");
    assert.ok(named("/usr/sbin/xtables-nft-multi")?.hashes);
    const again = await imageContents(options);
    assert.equal(again.sbom, sbom);
    assert.deepEqual(again.layers, layers);
  });
});

test("image: a Node for another architecture is refused with the flag that names the right one", async () => {
  await contentsHere(async (options) => {
    const other = architecture === "amd64" ? "arm64" : "amd64";
    await assert.rejects(imageContents({ ...options, architecture: other }), /--node-binary/);
  });
});
