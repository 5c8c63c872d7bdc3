import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { file, link } from "./image-file.ts";
import { type Image, ociArchive } from "./oci-archive.ts";

const image: Image = {
  architecture: "amd64",
  reference: "registry.example:5000/team/ctrlmesh:1.2.3",
  layers: [
    { about: "first", files: [file("/usr/bin/program", "program", true), link("/bin", "usr/bin")] },
    { about: "second", files: [file("/etc/passwd", "root:x:0:0\n")] },
  ],
  run: {
    user: "1359:1359",
    entrypoint: ["/usr/bin/program"],
    environment: { PATH: "/usr/bin" },
    labels: { "org.opencontainers.image.title": "ctrlmesh" },
  },
};

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

test("image archive: each blob is what its descriptor says, from the index down to the layers", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-oci-"));
  try {
    const archive = ociArchive(image);
    execFileSync("tar", ["--extract", "--no-same-owner", "--directory", folder], { input: archive.bytes });
    const read = (path: string) => JSON.parse(readFileSync(join(folder, path), "utf8"));
    const blob = ({ digest, size }: Descriptor): Buffer => {
      const bytes = readFileSync(join(folder, "blobs", digest.replace(":", "/")));
      assert.equal(sha256(bytes), digest);
      assert.equal(bytes.length, size);
      return bytes;
    };
    assert.deepEqual(read("oci-layout"), { imageLayoutVersion: "1.0.0" });
    const [entry] = read("index.json").manifests;
    assert.equal(entry.digest, archive.digest);
    assert.deepEqual(entry.platform, { architecture: "amd64", os: "linux" });
    assert.equal(entry.annotations["io.containerd.image.name"], image.reference);
    assert.equal(entry.annotations["org.opencontainers.image.ref.name"], "1.2.3");
    const manifest = JSON.parse(blob(entry).toString());
    const config = JSON.parse(blob(manifest.config).toString());
    assert.equal(config.config.User, "1359:1359");
    assert.deepEqual(config.config.Env, ["PATH=/usr/bin"]);
    const layers = manifest.layers.map((layer: Descriptor) => gunzipSync(blob(layer)));
    assert.deepEqual(config.rootfs.diff_ids, layers.map(sha256));
    const listed = layers.map((layer: Buffer) =>
      execFileSync("tar", ["--list"], { input: layer, encoding: "utf8" }).trim().split("\n"),
    );
    assert.deepEqual(listed, [
      ["bin", "usr/", "usr/bin/", "usr/bin/program"],
      ["etc/", "etc/passwd"],
    ]);
    const [docker] = read("manifest.json");
    assert.deepEqual(
      [docker.Config, ...docker.Layers],
      [manifest.config, ...manifest.layers].map(({ digest }) => `blobs/${digest.replace(":", "/")}`),
    );
    assert.equal(readdirSync(join(folder, "blobs/sha256")).length, 4);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("image archive: the same image has the same bytes, in whatever order its files were found", () => {
  const turned = {
    ...image,
    layers: image.layers.map((layer) => ({ ...layer, files: [...layer.files].reverse() })),
  };
  assert.deepEqual(ociArchive(turned), ociArchive(image));
  const changed = { ...image, layers: [...image.layers, { about: "third", files: [file("/x", "y")] }] };
  assert.notEqual(ociArchive(changed).digest, ociArchive(image).digest);
});

function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
