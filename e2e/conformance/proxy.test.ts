import "reflect-metadata";
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import { Agent, type RequestOptions, request } from "node:https";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ControlService,
  Grant,
  HashFunction,
  type ManagerMessage,
  ManagerMessageSchema,
  type SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";

/** The proxy as a process between real clients and a real API server; its audit log tells what got through. */

const cli = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const operator = "system:serviceaccount:op:operator";
const protobuf = "application/vnd.kubernetes.protobuf";

type SnapshotInit = MessageInitShape<typeof SnapshotSchema>;

/** A manager that does what the test says: certifies each proxy, sends the snapshot in force to each stream. */
class Manager {
  readonly port: number;
  readonly #server: Http2SecureServer;
  readonly #authority: Authority;
  #snapshot: SnapshotInit | undefined;
  #revision = 0n;
  #wake = Promise.withResolvers<void>();
  #acked = Promise.withResolvers<bigint>();

  private constructor(server: Http2SecureServer, authority: Authority) {
    this.#server = server;
    this.#authority = authority;
    this.port = portOf(server.address());
  }

  static async listen(authority: Authority): Promise<Manager> {
    const dnsNames = ["ctrlmesh-manager.ctrlmesh.svc"];
    const issued = await issueCertificate(authority, {
      commonName: "manager",
      dnsNames,
      ipAddresses: [],
      days: 1,
      usage: "server",
    });
    const adapter = connectNodeAdapter({
      routes: (router) => {
        router.service(ControlService, {
          connect: (messages, context) => manager.#answers(messages, context.signal),
        });
      },
    });
    const server = createSecureServer(
      { cert: issued.certificatePem, key: issued.privateKeyPem ?? "" },
      adapter,
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const manager = new Manager(server, authority);
    return manager;
  }

  async *#answers(
    messages: Parameters<Parameters<typeof connectNodeAdapter>[0]["routes"]>[0] extends never
      ? never
      : AsyncIterable<{ message: { case?: string | undefined; value?: unknown } }>,
    signal: AbortSignal,
  ): AsyncGenerator<ManagerMessage> {
    yield* [];
  }
}
