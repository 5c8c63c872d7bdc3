import type { Readable } from "node:stream";

/**
 * The API server takes objects of 3 MiB, and a review of an update carries two of them, each with what JSON in a
 * review adds.
 */
export const reviewLimitBytes = 8 * 1024 * 1024;
/** Of all reviews that are read or on their way to another pod: a share of the sidecar's memory that it can spare. */
export const heldLimitBytes = 32 * 1024 * 1024;

export type HeldBody =
  | { readonly kind: "read"; readonly bytes: Buffer }
  | { readonly kind: "too_large" | "overloaded" };

/** Bodies of requests in memory, with a bound on all together. */
export class ReviewBodies {
  #heldBytes = 0;

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Reads a body; what it takes is held until the lease is disposed. Beyond a limit it stops reading.
   *
   * @throws when the client goes away
   */
  async read(request: Readable): Promise<{ readonly body: HeldBody } & Disposable> {
    const chunks: Buffer[] = [];
    let length = 0;
    const release = (): void => {
      this.#heldBytes -= length;
      length = 0;
    };
    try {
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        length += chunk.length;
        this.#heldBytes += chunk.length;
        const excess = this.#excess(length);
        if (excess !== undefined) {
          release();
          return { body: { kind: excess }, [Symbol.dispose]: () => {} };
        }
        chunks.push(chunk);
      }
    } catch (error) {
      release();
      throw error;
    }
    return { body: { kind: "read", bytes: Buffer.concat(chunks, length) }, [Symbol.dispose]: release };
  }

  #excess(length: number): "too_large" | "overloaded" | undefined {
    if (length > reviewLimitBytes) return "too_large";
    return this.#heldBytes > heldLimitBytes ? "overloaded" : undefined;
  }
}
