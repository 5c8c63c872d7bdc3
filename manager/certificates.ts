import { hkdfSync } from "node:crypto";
import { toCtrlmeshError } from "#api/errors";
import type { KubeClient } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { issueCertificate, readCertificate } from "#runtime/x509";
import { ensureMeshAuthority, type MeshAuthority } from "./ca.ts";
import {
  controlNames,
  type NameSettings,
  permittedNames,
  proxyNames,
  webhookNames,
} from "./certificate-names.ts";
import {
  ensureWebhookCertificate,
  isFresh,
  issueServingCertificate,
  type ServingCertificate,
} from "./serving-certificate.ts";

export interface CertificatesDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly names: NameSettings;
}

/** The pod of a proxy, as its token says. */
export interface ProxyPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly podIp: string;
}

const checkIntervalMs = 60_000;
const proxyDays = 7;

interface Held {
  readonly mesh: MeshAuthority;
  readonly control: ServingCertificate;
  readonly webhook: ServingCertificate;
}

/**
 * All certificates of one manager replica: made at the start, looked at once a minute, renewed after a third of
 * their life. While the API server can't be reached, what is held goes on.
 */
export class Certificates implements AsyncDisposable {
  readonly #deps: CertificatesDeps;
  readonly #listeners = new Set<() => void>();
  readonly #stopped = new AbortController();
  #held: Held;
  #loop: Promise<void> = Promise.resolve();

  private constructor(deps: CertificatesDeps, held: Held) {
    this.#deps = deps;
    this.#held = held;
  }

  /**
   * @throws INVALID_CERTIFICATE, INVALID_KEY_FILE when the CA Secret holds something else; CtrlmeshError of the
   *   API client
   */
  static async open(deps: CertificatesDeps, signal: AbortSignal): Promise<Certificates> {
    const certificates = new Certificates(deps, await hold(deps, undefined, signal));
    certificates.#loop = certificates.#watch();
    return certificates;
  }

  /** Authorities of the mesh, PEM. */
  get meshBundlePem(): string {
    return this.#held.mesh.bundlePem;
  }

  get controlServing(): ServingCertificate {
    return this.#held.control;
  }

  get webhookServing(): ServingCertificate {
    return this.#held.webhook;
  }

  /** End of the one in use that ends first: of the mesh CA, the control stream, the webhooks. Since the epoch. */
  get soonestExpiryMs(): number {
    const { mesh, control, webhook } = this.#held;
    const inUse = [mesh.authority.certificatePem, control.certificatePem, webhook.certificatePem];
    return Math.min(...inUse.map((pem) => readCertificate(pem).notAfter.getTime()));
  }

  /**
   * A certificate for the loopback listener of a proxy, 7 days.
   *
   * @param publicKeySpki DER of an EC P-256 key
   * @throws INVALID_KEY_FILE
   */
  async issueProxyCertificate(
    publicKeySpki: Uint8Array,
    pod: ProxyPod,
  ): Promise<{ readonly certificateChainPem: string; readonly notAfter: Date }> {
    const { certificatePem, notAfter } = await issueCertificate(this.#held.mesh.authority, {
      // The UID and nothing longer: a common name has at most 64 characters (RFC 5280, ub-common-name).
      commonName: `ctrlmesh-proxy ${pod.uid}`.slice(0, 64),
      ...proxyNames(this.#deps.names, pod.podIp),
      days: proxyDays,
      usage: "server",
      publicKeySpki,
      now: new Date(this.#deps.clock.now()),
    });
    return { certificateChainPem: certificatePem, notAfter };
  }

  /**
   * Secret with which the pods of a group know each other when they forward admission reviews: 32 bytes, HKDF-SHA256
   * (RFC 5869) of the mesh CA's key, so that every leader says the same and nothing more has to be stored.
   */
  relayKey(namespace: string, ledger: string): Uint8Array {
    const purpose = `ctrlmesh webhook relay ${namespace}/${ledger}`;
    return new Uint8Array(hkdfSync("sha256", this.#held.mesh.authority.privateKeyPem, "", purpose, 32));
  }

  /** Called after any of the certificates changed. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Looks now instead of within the minute. @throws CtrlmeshError of the API client */
  async refresh(signal: AbortSignal): Promise<void> {
    const next = await hold(this.#deps, this.#held, signal);
    const same =
      next.mesh.bundlePem === this.#held.mesh.bundlePem &&
      next.control.certificatePem === this.#held.control.certificatePem &&
      next.webhook.certificatePem === this.#held.webhook.certificatePem;
    this.#held = next;
    if (!same) for (const listener of this.#listeners) this.#tell(listener);
  }

  #tell(listener: () => void): void {
    try {
      listener();
    } catch (thrown) {
      const { code, message } = toCtrlmeshError(thrown);
      this.#deps.log.error("a new certificate was not taken up", { code, reason: message });
    }
  }

  async #watch(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await clock.sleep(checkIntervalMs, signal);
        await this.refresh(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toCtrlmeshError(thrown);
        log.warn("certificates could not be looked at", { code: error.code, reason: error.message });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }
}

async function hold(deps: CertificatesDeps, held: Held | undefined, signal: AbortSignal): Promise<Held> {
  const { client, clock, log, names } = deps;
  const { namespace } = names;
  const permitted = permittedNames(names);
  const mesh = await ensureMeshAuthority({ client, clock, log, namespace, permitted }, signal);
  const wanted = controlNames(names);
  const control =
    held !== undefined && isFresh(held.control, mesh, wanted, clock.now())
      ? held.control
      : await issueServingCertificate(mesh, wanted, clock.now());
  const webhook = await ensureWebhookCertificate(
    { client, clock, log, namespace },
    mesh,
    webhookNames(names),
    signal,
  );
  return { mesh, control, webhook };
}
