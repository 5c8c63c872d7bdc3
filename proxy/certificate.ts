import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from "node:crypto";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { ServingIdentity } from "./apiserver/server.ts";
import type { DurableFiles } from "./durable-files.ts";

interface ServingCertificateOptions {
  readonly stateDirectory: string;
  readonly files: DurableFiles;
  readonly clock: Clock;
  readonly log: Log;
}

/** Share of a certificate's life that is left when it is renewed (`ownership.md` section 9). */
const renewalShare = 1 / 3;
/** No answer to a request for so long: ask again. */
export const requestIntervalMs = 60_000;

interface Issued {
  readonly chainPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Key and certificate of the loopback listener. The key pair (EC P-256) is made here and never leaves the pod's
 * volume; the manager certifies its public half. Both are in one file, so that they can't part.
 */
export class ServingCertificate {
  readonly path: string;
  readonly #options: ServingCertificateOptions;
  readonly #listeners = new Set<(identity: ServingIdentity) => void>();
  #privateKey: KeyObject;
  #issued: Issued | undefined;

  private constructor(options: ServingCertificateOptions) {
    this.#options = options;
    this.path = join(options.stateDirectory, "serving.pem");
    this.#privateKey = generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey;
  }

  /**
   * Takes up what is on disk. A file that is missing, damaged or from an earlier format costs one request to the
   * manager and is never an error; what was wrong is logged with its code.
   */
  static async load(options: ServingCertificateOptions): Promise<ServingCertificate> {
    const certificate = new ServingCertificate(options);
    try {
      const content = await options.files.read(certificate.path);
      if (content !== undefined)
        certificate.#adopt(parseIdentity(content.toString("utf8"), certificate.path));
    } catch (error) {
      options.log.warn("the stored serving certificate is not usable, a new one is made", { error });
    }
    return certificate;
  }

  /** What to serve with; undefined before the first certificate. An expired one is still served: the operator says best what is wrong with it. */
  get identity(): ServingIdentity | undefined {
    if (this.#issued === undefined) return undefined;
    return { privateKeyPem: this.#privateKeyPem, certificateChainPem: this.#issued.chainPem };
  }

  /** End of the certificate's life, milliseconds since the Unix epoch. */
  get notAfterMs(): number | undefined {
    return this.#issued?.notAfterMs;
  }

  /** DER SubjectPublicKeyInfo, for a CertificateRequest. */
  get publicKeySpki(): Uint8Array {
    return createPublicKey(this.#privateKey).export({ type: "spki", format: "der" });
  }

  /** Milliseconds until a request is due; 0 when it is now. */
  get renewalInMs(): number {
    if (this.#issued === undefined) return 0;
    const { notBeforeMs, notAfterMs } = this.#issued;
    const dueMs = notAfterMs - (notAfterMs - notBeforeMs) * renewalShare;
    return Math.max(0, dueMs - this.#options.clock.now());
  }

  /** Calls back for each certificate that comes after now. */
  onChange(listener: (identity: ServingIdentity) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Takes the manager's answer, puts it in use and stores it. A disk that can't take it is logged: the certificate
   * is in use all the same and is asked for again after a restart.
   *
   * @throws INVALID_CERTIFICATE for one that can't be parsed, is of another key, or has expired; the one in use stays
   */
  async accept(certificateChainPem: string): Promise<void> {
    const { clock, files, log } = this.#options;
    const issued = parseChain(certificateChainPem, this.#privateKey, "certificate from the manager");
    if (issued.notAfterMs <= clock.now()) {
      throw invalidCertificate("certificate from the manager", `it expired at ${isoTime(issued.notAfterMs)}`);
    }
    this.#issued = issued;
    const identity = { privateKeyPem: this.#privateKeyPem, certificateChainPem };
    for (const listener of this.#listeners) listener(identity);
    log.info("serving certificate in use", { notAfter: isoTime(issued.notAfterMs) });
    try {
      await files.replace(this.path, Buffer.from(identity.privateKeyPem + identity.certificateChainPem));
    } catch (error) {
      log.warn("the serving certificate cannot be stored", { error, path: this.path });
    }
  }

  get #privateKeyPem(): string {
    return this.#privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  }

  #adopt({ privateKey, issued }: { readonly privateKey: KeyObject; readonly issued: Issued }): void {
    this.#privateKey = privateKey;
    this.#issued = issued;
  }
}

/**
 * Key and chain of a file as `accept` writes it.
 *
 * @throws INVALID_KEY_FILE when the key is missing, malformed or none of EC P-256; INVALID_CERTIFICATE for the chain
 */
function parseIdentity(
  text: string,
  path: string,
): { readonly privateKey: KeyObject; readonly issued: Issued } {
  const keyPem = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/.exec(text)?.[0];
  if (keyPem === undefined) throw invalidKey(path, "it holds no PEM block PRIVATE KEY");
  const privateKey = parseKey(keyPem, path);
  return { privateKey, issued: parseChain(text.replace(keyPem, ""), privateKey, path) };
}

function parseKey(pem: string, path: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw invalidKey(path, "the private key is malformed", cause);
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === "prime256v1") return key;
  throw invalidKey(path, `the private key is ${curve ?? key.asymmetricKeyType}, not EC P-256`);
}

function parseChain(chainPem: string, privateKey: KeyObject, where: string): Issued {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(chainPem);
  } catch (cause) {
    throw invalidCertificate(where, "it can't be parsed", cause);
  }
  if (!leaf.checkPrivateKey(privateKey)) throw invalidCertificate(where, "it is of another key than ours");
  return { chainPem, notBeforeMs: leaf.validFromDate.getTime(), notAfterMs: leaf.validToDate.getTime() };
}

function invalidKey(where: string, what: string, cause?: unknown): CtrlmeshError {
  return new CtrlmeshError("INVALID_KEY_FILE", { what, where, hint: "a new key is made by itself", cause });
}

function invalidCertificate(where: string, what: string, cause?: unknown): CtrlmeshError {
  return new CtrlmeshError("INVALID_CERTIFICATE", { what, where, cause });
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
