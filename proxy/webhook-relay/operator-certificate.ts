import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";

/** PEM. */
export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

interface OperatorCertificateDeps {
  /** Holds `tls.crt` and `tls.key`, as a Secret of type kubernetes.io/tls does. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (pair: KeyPair) => void;
}

/**
 * Looked at by reading, not by watching: the kubelet swaps a link of the directory, and what watchers see of that
 * differs between file systems. It brings a changed Secret within about a minute anyway.
 */
export const readIntervalMs = 5_000;

/** The operator's own serving certificate, followed while it is renewed. */
export class OperatorCertificate implements Disposable {
  readonly #deps: OperatorCertificateDeps;
  #inUse: KeyPair | undefined;
  #failure = "";
  #timer: Disposable | undefined;
  #stopped = false;

  private constructor(deps: OperatorCertificateDeps) {
    this.#deps = deps;
  }

  /** Reads once before it resolves. A certificate that is not there yet is waited for, not an error. */
  static async follow(deps: OperatorCertificateDeps): Promise<OperatorCertificate> {
    const certificate = new OperatorCertificate(deps);
    await certificate.#look();
    return certificate;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const { directory, clock, log, onChange } = this.#deps;
    try {
      const pair = await readPair(directory);
      if (this.#stopped) return;
      if (pair.cert !== this.#inUse?.cert || pair.key !== this.#inUse.key) {
        onChange(pair);
        this.#inUse = pair;
        log.info("certificate of the operator's webhook in use", { path: directory });
      }
      this.#failure = "";
    } catch (thrown) {
      // Half renewed, or not there yet: what is in use stays, and the same trouble is told once.
      const error = toCtrlmeshError(thrown, "INVALID_CERTIFICATE");
      if (error.message !== this.#failure) {
        log.warn("the certificate of the operator's webhook is not usable yet", { path: directory, error });
      }
      this.#failure = error.message;
    }
    if (!this.#stopped) this.#timer = clock.timer(readIntervalMs, () => void this.#look());
  }
}

/** @throws INVALID_CERTIFICATE when a file is missing or malformed, or the two don't belong together */
async function readPair(directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all(
    ["tls.crt", "tls.key"].map((name) => readFile(join(directory, name), "utf8")),
  ).catch((cause: unknown) => {
    throw invalid(directory, "tls.crt or tls.key can't be read", cause);
  });
  if (cert === undefined || key === undefined) throw invalid(directory, "tls.crt or tls.key is missing");
  let belongs: boolean;
  try {
    belongs = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Without the cause: what a parser says of a key file may quote it.
    throw invalid(directory, "tls.crt or tls.key is no PEM of a certificate and its key");
  }
  if (!belongs) throw invalid(directory, "tls.key is not the key of tls.crt");
  return { cert, key };
}

function invalid(where: string, what: string, cause?: unknown): CtrlmeshError {
  return new CtrlmeshError("INVALID_CERTIFICATE", { where, what, cause });
}
