import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { parse } from "yaml";
import { parseAnyApplication } from "#api/any-application";
import { parseCircuitBreaker } from "#api/circuit-breaker";
import { CtrlmeshError, type ErrorCode, errorCodes } from "#api/errors";
import { parseFaultInjection } from "#api/fault-injection";
import { Grant, HashFunction, type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseManagerState } from "#api/manager-state";
import { parseMeshPeer } from "#api/mesh-peer";
import { parseShardingConfig } from "#api/sharding-config";
import { badCircuitBreakers, badFaultInjections } from "#api/testdata/bad-policies";
import type { BadResource } from "#api/testdata/bad-resource";
import { badShardingConfigs } from "#api/testdata/bad-sharding-configs";
import { badAnyApplications, badManagerStates, badMeshPeers } from "#api/testdata/bad-states";
import { type Authority, createAuthority } from "#runtime/x509";
import { ProxyProcess, servingPem } from "./bad-input/proxy-process.ts";
import { ScriptedManager } from "./bad-input/scripted-manager.ts";

/**
 * Bad input as it comes from outside, and the one clear error that it gets: bytes on a proxy's port, messages of its
 * control stream, files on its volume, flags and config files of the command, YAML.
 */

interface BadInput {
  readonly area: string;
  readonly title: string;
  readonly code: ErrorCode;
  /** Part of the error's text: what is wrong, and where. */
  readonly says: RegExp;
  /** Hands the input in; the error that comes back. */
  readonly handIn: () => Promise<{ readonly code: string; readonly message: string }>;
}

const cli = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

let folder: string;
let authority: Authority;
let manager: ScriptedManager;
let proxy: ProxyProcess;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ctrlmesh-bad-input-"));
  authority = await createAuthority({ commonName: "mesh", days: 10 });
  manager = await ScriptedManager.listen(authority);
  const servingFile = await servingPem(authority);
  proxy = await ProxyProcess.start({ authority, managerPort: manager.port, servingFile });
  const first = await manager.answerTo({ case: "snapshot", value: create(SnapshotSchema, snapshot({})) });
  assert.deepEqual([first.accepted, first.reason], [true, ""]);
});

after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await manager?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const head = (
  title: string,
  bytes: string,
  says: RegExp,
  code: ErrorCode = "MALFORMED_REQUEST",
): BadInput => ({
  area: "HTTP heads",
  title,
  code,
  says,
  handIn: async () => {
    const answer = await proxy.answerTo(bytes);
    const [status = "", body = ""] = answer.split("\r\n\r\n");
    assert.match(status, new RegExp(`^HTTP/1.1 ${errorCodes[code].status} `), answer);
    const { message } = JSON.parse(body);
    return { code: /\(([A-Z_]+)\)$/.exec(message)?.[1] ?? "", message };
  },
});

const host = "Host: api\r\n";
const heads: readonly BadInput[] = [
  head(
    "both lengths",
    `POST /api HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
    /both Content-Length/,
  ),
  head(
    "two lengths",
    `POST /api HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`,
    /several Content-Length/,
  ),
  head(
    "a coding before chunked",
    `POST /api HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    /exactly chunked/,
  ),
  head("LF alone", `GET /api HTTP/1.1\nHost: api\r\n\r\n`, /LF alone/),
  head("a folded line", `GET /api HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`, /folding/),
  head("a blank before the colon", `GET /api HTTP/1.1\r\n${host}X : a\r\n\r\n`, /blank between/),
  head("a control character", `GET /api HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`, /control character/),
  head("no Host", "GET /api HTTP/1.1\r\n\r\n", /no Host/),
  head("an absolute target", `GET https://api/ HTTP/1.1\r\n${host}\r\n`, /not a path/),
  head("another version", `GET /api HTTP/1.2\r\n${host}\r\n`, /HTTP\/1.1 or HTTP\/1.0/),
  head("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /HTTP\/2/),
  head(
    "a head over 1 MiB",
    `GET /api HTTP/1.1\r\n${host}X: ${"x".repeat(1 << 20)}\r\n\r\n`,
    /1048576|1 MiB/,
    "REQUEST_HEAD_TOO_LARGE",
  ),
];

const yaml = (
  area: string,
  parseKind: (value: unknown) => unknown,
  table: readonly BadResource[],
): readonly BadInput[] =>
  table.map((bad) => ({
    area,
    title: bad.title,
    code: "INVALID_RESOURCE",
    says: new RegExp(`^${literal(bad.where)}: .*${literal(bad.message)}`),
    handIn: async () => errorOf(() => parseKind(parse(bad.yaml))),
  }));

function literal(words: string): string {
  return words.replace(/[^\w\s]/g, "\\$&");
}

function errorOf(act: () => unknown): CtrlmeshError {
  try {
    act();
  } catch (error) {
    if (error instanceof CtrlmeshError) return error;
    throw error;
  }
  assert.fail("it was accepted");
}

type SnapshotInit = Exclude<MessageInitShape<typeof SnapshotSchema>, Snapshot>;
const firstRevision = 5n;
const limit = { groups: [""], resources: ["configmaps"], selector: "team=a" };
const snapshot = (changes: SnapshotInit): SnapshotInit => ({
  id: { term: 1n, revision: firstRevision },
  shard: "shard-a",
  grant: Grant.GRANTED,
  hash: HashFunction.MURMUR3,
  limits: [limit],
  epoch: 1n,
  ...changes,
});

let revision = firstRevision;
const message = (
  title: string,
  changes: SnapshotInit,
  says: RegExp,
  code: ErrorCode = "SNAPSHOT_INVALID",
): BadInput => ({
  area: "snapshot messages",
  title,
  code,
  says,
  handIn: async () => {
    revision++;
    const value = create(SnapshotSchema, snapshot({ id: { term: 1n, revision }, ...changes }));
    const { accepted, code: given, reason } = await manager.answerTo({ case: "snapshot", value });
    assert.equal(accepted, false);
    return { code: given, message: reason };
  },
});

const messages: readonly BadInput[] = [
  message(
    "a selector that does not parse",
    { limits: [{ ...limit, selector: "a in (" }] },
    /limits\[0\]\.selector/,
  ),
  message("an empty selector", { limits: [{ ...limit, selector: "" }] }, /limits\[0\]\.selector: is empty/),
  message("a grant without limits", { limits: [] }, /limits: is empty/),
  message("a bucket that does not exist", { fence: { buckets: [32] } }, /32 is no bucket/),
  message("no grant", { grant: Grant.UNSPECIFIED }, /grant/),
  message(
    "an earlier revision",
    { id: { term: 1n, revision: 4n } },
    /term 1, revision 4 is older/,
    "SNAPSHOT_OLDER",
  ),
  message(
    "other content under the same number",
    { id: { term: 1n, revision: firstRevision }, epoch: 9n },
    /a change needs a new revision/,
  ),
  message("another shard", { shard: "shard-b" }, /shard-a.*shard-b|shard-b.*shard-a/, "SNAPSHOT_OTHER_SHARD"),
  {
    area: "snapshot messages",
    title: "an unknown field",
    code: "SNAPSHOT_UNKNOWN_FIELD",
    says: /snapshot: field 99 is unknown/,
    handIn: async () => {
      revision++;
      const value = create(SnapshotSchema, snapshot({ id: { term: 1n, revision } }));
      // Field 1 of the message again, holding only the strange one: protobuf merges both.
      const strange = new BinaryWriter().tag(99, 0).uint32(1).finish();
      const extra = new BinaryWriter().tag(1, 2).bytes(strange).finish();
      const { accepted, code, reason } = await manager.answerTo({ case: "snapshot", value }, extra);
      assert.equal(accepted, false);
      return { code, message: reason };
    },
  },
];

async function runCli(args: readonly string[]): Promise<{ code: string; message: string }> {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { KUBERNETES_SERVICE_HOST: "127.0.0.1", POD_NAME: "p", POD_NAMESPACE: "n", POD_UID: "u" },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  const [stderr] = await Promise.all([text(child.stderr), once(child, "close")]);
  const [, code = "", said = ""] = /^ctrlmesh: (?:([A-Z_]+): )?(.*)/s.exec(stderr) ?? [];
  const row = Object.entries(errorCodes).find(([name]) => name === code)?.[1];
  assert.equal(child.exitCode, row?.exitCode, stderr);
  return { code, message: said };
}

const flags = (args: string, says: RegExp): BadInput => ({
  area: "flags",
  title: args,
  code: "INVALID_FLAG",
  says,
  handIn: () => runCli(args.split(" ")),
});

const flagCases: readonly BadInput[] = [
  flags("proxy --nope", /^--nope: no such flag/),
  flags(
    "proxy --apiserver-port=99999",
    /^--apiserver-port: "99999" is not allowed; give a whole number from 0 to 65535/,
  ),
  flags("proxy --drain-timeout=2h", /^--drain-timeout: "2h" is not allowed/),
  flags("proxy stray", /"stray" is no flag/),
  flags("manager --hash=md5", /^--hash: "md5" is not allowed; give one of murmur3, additive/),
  flags("manager --label-shard-hash=-x", /^--label-shard-hash: "-x" is not allowed; give a label key/),
  flags("manager --log-level", /^--log-level: the value is missing/),
  flags("demo --nope", /^--nope: no such flag/),
];

let files = 0;
/** A config file for a part. */
const config = (title: string, part: string, content: string, says: RegExp): BadInput => ({
  area: "config files",
  title,
  code: "INVALID_SETTING",
  says,
  handIn: () => {
    const path = join(folder, `config-${files++}.yaml`);
    writeFileSync(path, content);
    return runCli([part, `--config=${path}`]);
  },
});

const configs: readonly BadInput[] = [
  config("broken YAML", "proxy", "[1", /config-\d+\.yaml: the configuration file is malformed/),
  config("a list", "manager", "- a", /the file is not a mapping of settings/),
  config(
    "a misspelled setting",
    "proxy",
    "apiserverPrt: 1",
    /apiserverPrt: no such setting; did you mean apiserverPort\?/,
  ),
  config(
    "a mapping in place of a number",
    "proxy",
    "apiserverPort: {a: 1}",
    /apiserverPort: neither a plain value/,
  ),
  config(
    "a word that is not allowed",
    "manager",
    "hash: sha1",
    /hash: "sha1" is not allowed; give one of murmur3, additive/,
  ),
  config("a port that is none", "manager", "webhookPort: high", /webhookPort: "high" is not allowed/),
];

const pkcs8 = { format: "pem", type: "pkcs8" } as const;
const rsaKey = (): string =>
  generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export(pkcs8).toString();
const p384Key = (): string =>
  generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export(pkcs8).toString();

const certificateOf = (pem: string): string => pem.slice(pem.indexOf("-----BEGIN CERTIFICATE"));

/** The file with key and certificate on a proxy's volume. The proxy says what is wrong and makes a new key. */
const keyFile = (
  title: string,
  contentOf: (good: string, other: string) => string,
  says: RegExp,
  code: ErrorCode = "INVALID_KEY_FILE",
): BadInput => ({
  area: "key files",
  title,
  code,
  says,
  handIn: async () => {
    const servingFile = contentOf(await servingPem(authority), await servingPem(authority));
    await using damaged = await ProxyProcess.start({ authority, managerPort: 1, servingFile });
    const { error } = await damaged.logLine(/stored serving certificate is not usable/);
    const { code: given, message: said } = Object(error);
    return { code: given, message: said };
  },
});

const keyFiles: readonly BadInput[] = [
  keyFile("an empty file", () => "", /serving\.pem: it holds no PEM block PRIVATE KEY/),
  keyFile("a certificate without key", certificateOf, /it holds no PEM block PRIVATE KEY/),
  keyFile(
    "a key of broken base64",
    (good) => good.replace(/(BEGIN PRIVATE KEY-----\n).{20}/, "$1AAAA"),
    /the private key is malformed/,
  ),
  keyFile("an RSA key", (good) => rsaKey() + certificateOf(good), /the private key is rsa, not EC P-256/),
  keyFile(
    "a key of another curve",
    (good) => p384Key() + certificateOf(good),
    /the private key is secp384r1, not EC P-256/,
  ),
  keyFile(
    "a certificate of another key",
    (good, other) => good.replace(certificateOf(good), certificateOf(other)),
    /it is of another key than ours/,
    "INVALID_CERTIFICATE",
  ),
];

const cases: readonly BadInput[] = [
  ...heads,
  ...yaml("ShardingConfig", parseShardingConfig, badShardingConfigs),
  ...yaml("CircuitBreaker", parseCircuitBreaker, badCircuitBreakers),
  ...yaml("FaultInjection", parseFaultInjection, badFaultInjections),
  ...yaml("ManagerState", parseManagerState, badManagerStates),
  ...yaml("MeshPeer", parseMeshPeer, badMeshPeers),
  ...yaml("AnyApplication", parseAnyApplication, badAnyApplications),
  ...messages,
  ...flagCases,
  ...configs,
  ...keyFiles,
];

test("bad input: at least 40 distinct cases, four or more of each area", () => {
  const names = new Set(cases.map(({ area, title }) => `${area}: ${title}`));
  assert.equal(names.size, cases.length);
  assert.ok(names.size >= 40, `${names.size}`);
  const areas = Object.groupBy(cases, ({ area }) => area);
  assert.equal(Object.keys(areas).length, 11);
  for (const [area, of = []] of Object.entries(areas)) assert.ok(of.length >= 4, `${area}: ${of.length}`);
});

for (const { area, title, code, says, handIn } of cases) {
  test(`bad input: ${area}: ${title} gets ${code}`, async () => {
    const got = await handIn();
    assert.equal(got.code, code, got.message);
    assert.match(got.message, says);
  });
}
