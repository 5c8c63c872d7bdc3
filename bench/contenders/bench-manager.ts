import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CertificateSchema, Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { FakeManager, type FakeStream } from "#proxy/control/fake-manager";
import { type Authority, issueCertificate } from "#runtime/x509";
import { selector } from "../test-bed.ts";

const snapshot: MessageInitShape<typeof SnapshotSchema> = {
  id: { term: 1n, revision: 1n },
  shard: "bench",
  grant: Grant.GRANTED,
  limits: [{ groups: [""], resources: ["pods", "configmaps", "secrets"], selector }],
  unfilteredNamespaces: ["own", "kube-system"],
  fence: { buckets: [1, 2, 3] },
  hash: HashFunction.MURMUR3,
  epoch: 1n,
};

/** The manager of the product: certifies its key, grants one snapshot and keeps the stream open. */
export class BenchManager implements AsyncDisposable {
  readonly #manager: FakeManager;

  private constructor(manager: FakeManager) {
    this.#manager = manager;
  }

  static async listen(authority: Authority): Promise<BenchManager> {
    return new BenchManager(await FakeManager.listen({ authority }));
  }

  get port(): number {
    return this.#manager.port;
  }

  /**
   * Serves the next proxy. Resolves when it has taken the snapshot.
   *
   * @param asksForCertificate whether it has none on its disk
   */
  async grantNext(asksForCertificate: boolean): Promise<void> {
    const stream = await this.#manager.nextStream();
    const certified = asksForCertificate ? this.#certify(stream) : undefined;
    stream.send({ case: "snapshot", value: create(SnapshotSchema, snapshot) });
    const { accepted, reason } = await stream.next("snapshotResult");
    if (!accepted) throw new Error(`the proxy refuses the snapshot: ${reason}`);
    await certified;
  }

  async #certify(stream: FakeStream): Promise<void> {
    const { publicKeySpki } = await stream.next("certificateRequest");
    const { certificatePem, notAfter } = await issueCertificate(this.#manager.authority, {
      commonName: "proxy",
      dnsNames: ["localhost"],
      ipAddresses: ["127.0.0.1"],
      days: 1,
      usage: "server",
      publicKeySpki,
    });
    const certificate = create(CertificateSchema, {
      certificateChainPem: certificatePem,
      notAfterSeconds: BigInt(Math.floor(notAfter.getTime() / 1000)),
    });
    stream.send({ case: "certificate", value: certificate });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#manager[Symbol.asyncDispose]();
  }
}
