import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { file, type ImageFile, withDirectories } from "./image-file.ts";
import { tar } from "./tar.ts";

export interface ImageLayer {
  /** Shown in the image's history. */
  readonly about: string;
  readonly files: readonly ImageFile[];
}

/** What a container of the image runs with (OCI image configuration, `config`). */
export interface ImageRun {
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Image {
  readonly architecture: "amd64" | "arm64";
  /** Full name with registry and tag, as container engines store it. */
  readonly reference: string;
  readonly layers: readonly ImageLayer[];
  readonly run: ImageRun;
}

export interface Archive {
  readonly bytes: Buffer;
  /** Digest of the manifest, by which the image can be pinned. */
  readonly digest: string;
  /** Bytes of the layers, compressed: what a node pulls. */
  readonly compressedBytes: number;
  /** Bytes of the layers on a node's disk. */
  readonly bytesOnDisk: number;
}

interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

/** The same image has the same digest, whenever it is built. */
const created = "1970-01-01T00:00:00Z";
const manifestType = "application/vnd.oci.image.manifest.v1+json";

/**
 * An image as one archive: an OCI image layout (image-spec 1.1), which `ctr images import`, `podman load` and
 * `skopeo` take, with the `manifest.json` that `docker load` looks for. Depends on its input alone.
 */
export function ociArchive({ architecture, reference, layers, run }: Image): Archive {
  const built = layers.map((layer) => {
    const bytes = tar(withDirectories(layer.files));
    return { about: layer.about, bytes, diffId: digestOf(bytes), blob: blobOf(gzipSync(bytes)) };
  });
  const config = jsonBlob({
    created,
    architecture,
    os: "linux",
    config: {
      User: run.user,
      Env: Object.entries(run.environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: run.entrypoint,
      WorkingDir: "/",
      Labels: run.labels,
    },
    rootfs: { type: "layers", diff_ids: built.map(({ diffId }) => diffId) },
    history: built.map(({ about }) => ({ created, created_by: about })),
  });
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: manifestType,
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: built.map(({ blob }) => descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blob)),
    annotations: run.labels,
  });
  const blobs = [...built.map(({ blob }) => blob), config, manifest];
  const entries = [
    json("/oci-layout", { imageLayoutVersion: "1.0.0" }),
    json("/index.json", indexOf({ architecture, reference }, manifest)),
    json("/manifest.json", [
      {
        Config: blobPath(config).slice(1),
        RepoTags: [reference],
        Layers: built.map(({ blob }) => blobPath(blob).slice(1)),
      },
    ]),
    ...[...new Map(blobs.map((blob) => [blob.digest, blob])).values()].map((blob) =>
      file(blobPath(blob), blob.bytes),
    ),
  ];
  return {
    bytes: tar(withDirectories(entries)),
    digest: manifest.digest,
    compressedBytes: built.reduce((sum, { blob }) => sum + blob.bytes.length, 0),
    bytesOnDisk: built.reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
}

/** containerd takes the name from its own annotation, others the tag from that of the standard. */
function indexOf({ architecture, reference }: Pick<Image, "architecture" | "reference">, manifest: Blob) {
  return {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        ...descriptor(manifestType, manifest),
        platform: { architecture, os: "linux" },
        annotations: {
          "io.containerd.image.name": reference,
          "org.opencontainers.image.ref.name": reference.slice(reference.lastIndexOf(":") + 1),
        },
      },
    ],
  };
}

function descriptor(mediaType: string, { bytes, digest }: Blob) {
  return { mediaType, digest, size: bytes.length };
}

function json(path: string, value: unknown): ImageFile {
  return file(path, JSON.stringify(value));
}

function jsonBlob(value: unknown): Blob {
  return blobOf(Buffer.from(JSON.stringify(value)));
}

function blobOf(bytes: Buffer): Blob {
  return { bytes, digest: digestOf(bytes) };
}

function blobPath({ digest }: Blob): string {
  return `/blobs/${digest.replace(":", "/")}`;
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
