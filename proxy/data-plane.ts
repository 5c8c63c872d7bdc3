import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { type ApiserverProxy, type ApiserverProxyOptions, createApiserverProxy } from "./apiserver/server.ts";
import type { ServingCertificate } from "./certificate.ts";
import type { CompiledSnapshot } from "./snapshot.ts";

interface DataPlaneOptions extends Omit<ApiserverProxyOptions, "identity" | "snapshot"> {
  readonly certificate: ServingCertificate;
  /** From disk; in force before the first connection. */
  readonly snapshot: CompiledSnapshot | undefined;
}

/**
 * The API server proxy from before it can listen: without a certificate there is nothing that a client would trust,
 * so it opens with the first one, and with whatever snapshot has come until then.
 */
export class DataPlane implements AsyncDisposable {
  /** Resolves when the listener can't be opened. */
  readonly failed: Promise<CtrlmeshError>;
  readonly #options: DataPlaneOptions;
  readonly #certificateChange: Disposable;
  #snapshot: CompiledSnapshot | undefined;
  #opening: Promise<ApiserverProxy | undefined> | undefined;
  #proxy: ApiserverProxy | undefined;
  #ended = false;
  #fail: (error: CtrlmeshError) => void = () => {};

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#snapshot = options.snapshot;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#certificateChange = options.certificate.onChange(() => this.open());
  }

  /** Where the operator is served; undefined while nothing is. */
  get address(): { readonly host: string; readonly port: number } | undefined {
    return this.#proxy?.address;
  }

  get requestsOnOlderView(): number {
    return this.#proxy?.requestsOnOlderView ?? 0;
  }

  /** Opens the listener if there is a certificate, or puts a renewed one in use. */
  open(): void {
    const { identity } = this.#options.certificate;
    if (identity === undefined || this.#ended) return;
    if (this.#opening === undefined) {
      this.#opening = this.#create({ ...this.#options, identity, snapshot: this.#snapshot });
      return;
    }
    void this.#opening.then((proxy) => this.#renew(proxy));
  }

  /** As `ApiserverProxy.switchTo`; before the listener is open there is nothing to wait for. */
  async switchTo(next: CompiledSnapshot, signal: AbortSignal): Promise<void> {
    this.#snapshot = next;
    const proxy = await this.#opening;
    await proxy?.switchTo(next, signal);
  }

  /** As `ApiserverProxy.drain`. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#ended = true;
    const proxy = await this.#opening;
    await proxy?.drain(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#certificateChange[Symbol.dispose]();
    const proxy = await this.#opening;
    await proxy?.[Symbol.asyncDispose]();
  }

  #renew(proxy: ApiserverProxy | undefined): void {
    const { certificate, log } = this.#options;
    try {
      if (certificate.identity !== undefined) proxy?.useIdentity(certificate.identity);
    } catch (error) {
      log.error("the renewed certificate can't be served, the one before stays", { error });
    }
  }

  /** Never rejects: a failure goes to `failed`, and who waits finds no proxy. */
  async #create(options: ApiserverProxyOptions): Promise<ApiserverProxy | undefined> {
    try {
      const proxy = await createApiserverProxy(options);
      this.#proxy = proxy;
      this.#options.log.info("serving the operator", { ...proxy.address });
      return proxy;
    } catch (error) {
      this.#fail(toCtrlmeshError(error));
      return undefined;
    }
  }
}
