/**
 * How the bundled proxy is started, wherever it runs: what keeps the resident memory of a sidecar small without
 * costing CPU time.
 */
export const proxyProcess = {
  /** V8's young generation of 16 MiB holds garbage that nobody waits for; a proxy makes little. */
  nodeFlags: ["--max-semi-space-size=1"],
  environment: {
    /**
     * Node reads each TLS connection into 64 KiB of its own, most of which is never touched. Mapped by themselves, these
     * cost what is touched; inside the heap they take pages that others have used. Without padding at the heap's end 500
     * watches take 7 MiB less.
     */
    GLIBC_TUNABLES: "glibc.malloc.mmap_threshold=32768:glibc.malloc.top_pad=0",
  },
} as const;
