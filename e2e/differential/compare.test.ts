import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startControlPlane } from "../cluster/control-plane.ts";
import { kubectl } from "../cluster/kubectl.ts";
import { cborAsText } from "./cbor.ts";
import { type Endpoint, type HttpAnswer, type HttpRequest, httpClient } from "./client.ts";
import { differences } from "./compare.ts";
import { everywhere, listVersion } from "./masks.ts";
import { type Mutation, Shim } from "./shim.ts";

/** The comparison itself, held to faults that a proxy could have: with its masks on it must see each of them. */

let direct: Endpoint;
let shim: Shim;
const stack = new AsyncDisposableStack();

before(async () => {
  const plane = stack.use(await startControlPlane());
  const admin = kubectl(plane.kubeconfig);
  await admin.ok(["create", "serviceaccount", "reader", "-n", "default"]);
  await admin.ok([
    "create",
    "clusterrolebinding",
    "reader",
    "--clusterrole=cluster-admin",
    "--serviceaccount=default:reader",
  ]);
  const token = (await admin.ok(["create", "token", "reader", "-n", "default"])).trim();
  direct = { port: Number(new URL(plane.url).port), ca: plane.caPem, token };
  shim = stack.use(await Shim.listen(direct));
});

after(() => stack.disposeAsync());

/** `close`: the shim takes the end of the connection for the end of the answer. */
async function ask(endpoint: Endpoint, request: HttpRequest): Promise<HttpAnswer> {
  await using client = httpClient("http1", endpoint);
  return await client.send({ ...request, headers: { ...request.headers, connection: "close" } });
}

/** What tells a direct answer from one through the shim, and whether the shim changed anything. */
async function compared(
  request: HttpRequest,
  mutation: Mutation = (answer) => answer,
): Promise<{ readonly found: readonly string[]; readonly wasChanged: boolean }> {
  const left = await ask(direct, request);
  let wasChanged = false;
  shim.mutation = (answer) => {
    const changed = mutation(answer);
    wasChanged = changed !== answer;
    return changed;
  };
  const right = await ask(shim.endpoint, request);
  return { found: differences(left, right, [...everywhere, listVersion]), wasChanged };
}

const list = { target: "/api/v1/namespaces/kube-system/configmaps" };
const roles = { target: "/apis/rbac.authorization.k8s.io/v1/clusterroles" };
const protobuf = { ...list, headers: { accept: "application/vnd.kubernetes.protobuf" } };

test("comparison: through a proxy that changes nothing there is no difference", async () => {
  for (const request of [list, roles, protobuf]) assert.deepEqual((await compared(request)).found, []);
});

const faults: readonly (readonly [fault: string, request: HttpRequest, mutation: Mutation])[] = [
  ["another status", list, (answer) => answer.replace(" 200 OK", " 203 OK")],
  ["a header left out", list, (answer) => answer.replace(/Cache-Control: [^\r]*\r\n/, "")],
  ["a header too many", list, (answer) => answer.replace("\r\n\r\n", "\r\nVia: 1.1 proxy\r\n\r\n")],
  ["a header twice", list, (answer) => answer.replace(/(Cache-Control: [^\r]*\r\n)/, "$1$1")],
  ["a header spelt otherwise", list, (answer) => answer.replace("Content-Type:", "content-type:")],
  [
    "one byte of a header's value",
    list,
    (answer) => answer.replace("Pf-Flowschema-Uid: ", "Pf-Flowschema-Uid: 0"),
  ],
  ["a masked header left out", list, (answer) => answer.replace(/Audit-Id: [^\r]*\r\n/, "")],
  [
    "chunks made into a length",
    roles,
    (answer) =>
      answer
        .replace("Transfer-Encoding: chunked\r\n", "")
        .replace(/\r\n\r\n[\s\S]*/, "\r\nContent-Length: 2\r\n\r\n{}"),
  ],
  ["one byte of an object", roles, (answer) => answer.replace('"name":"admin"', '"name":"adnim"')],
  [
    "the resourceVersion of an object",
    roles,
    (answer) =>
      answer.replace(
        /("items":[\s\S]*?"resourceVersion":")(\d)/,
        (_, before, digit) => `${before}${(Number(digit) + 1) % 10}`,
      ),
  ],
  ["the time of an object", roles, (answer) => answer.replace(/(creationTimestamp":"\d{4}-)\d/, "$19")],
  ["one byte in protobuf", protobuf, (answer) => answer.replace("k8s\0", "k8s\x01")],
  ["a 1xx answer too many", list, (answer) => `HTTP/1.1 103 Early Hints\r\n\r\n${answer}`],
];

for (const [fault, request, mutation] of faults) {
  test(`comparison: it sees ${fault}`, async () => {
    const { found, wasChanged } = await compared(request, mutation);
    assert.ok(wasChanged, "the shim has found what to change");
    assert.notDeepEqual(found, []);
  });
}

test("comparison: CBOR is equal in any order of members, and in nothing else", () => {
  const text = (hex: string): string => cborAsText(Buffer.from(hex, "hex"));
  assert.equal(text("d9d9f7a2416101416202"), text("a2416202416101"));
  assert.equal(text("a2416101416202"), '{"a":1,"b":2}\n');
  const others = [
    "a2416201416102",
    "a2616101416202",
    "a1416101",
    "a241610141620220",
    "82416101",
    "a24161f5416202",
  ];
  for (const other of others) assert.notEqual(text(other), text("a2416101416202"), other);
  assert.throws(() => text("a2416101"), /end of the bytes|outside buffer|out of range/);
});
