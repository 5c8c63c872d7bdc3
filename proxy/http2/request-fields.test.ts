import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ErrorCode } from "./constants.ts";
import { Http2StreamError } from "./errors.ts";
import { HeaderField } from "./hpack-field.ts";
import { checkTrailers, readRequestFields } from "./request-fields.ts";

type Pair = readonly [name: string, value: string];

const fieldsOf = (pairs: readonly Pair[]) => pairs.map(([name, value]) => new HeaderField(name, value));

const base: readonly Pair[] = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/api/v1/pods?watch=1"],
  [":authority", "10.0.0.1:443"],
];
/** The base with some pseudo fields changed or (undefined) left out, and others behind. */
const request = (changed: Record<string, string | undefined>, ...more: Pair[]): readonly Pair[] => [
  ...base.flatMap(([name, value]): Pair[] => {
    const next = name in changed ? changed[name] : value;
    return next === undefined ? [] : [[name, next]];
  }),
  ...more,
];

function assertRefused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof Http2StreamError, String(error));
    assert.equal(error.errorCode, ErrorCode.PROTOCOL_ERROR);
    assert.match(error.message, message);
    return true;
  });
}

test("readRequestFields: what a client of the API server sends", () => {
  const fields = fieldsOf(
    request(
      {},
      ["accept", "application/json, */*"],
      ["accept", "text/html"],
      ["authorization", "Bearer abc"],
      ["content-length", "12"],
      ["cookie", "a=1"],
      ["cookie", "b=2"],
      ["te", "trailers"],
      ["expect", "100-Continue"],
      ["x-obs", "\x80\xff"],
      ["x-empty", ""],
    ),
  );
  assert.deepEqual(readRequestFields(fields), {
    method: "GET",
    path: "/api/v1/pods?watch=1",
    authority: "10.0.0.1:443",
    contentLength: 12,
    accept: "application/json, */*",
    hasAuthorization: true,
    expectsContinue: true,
    fields,
  });
});

test("readRequestFields: host stands in for :authority, and may repeat it", () => {
  const host = fieldsOf(request({ ":authority": undefined }, ["host", "api"]));
  assert.equal(readRequestFields(host).authority, "api");
  const both = fieldsOf(request({ ":authority": "Api" }, ["host", "aPI"]));
  assert.equal(readRequestFields(both).authority, "Api");
});

test("readRequestFields: OPTIONS of the whole server", () => {
  assert.equal(readRequestFields(fieldsOf(request({ ":method": "OPTIONS", ":path": "*" }))).path, "*");
});

const refused: readonly (readonly [what: string, pairs: readonly Pair[], message: RegExp])[] = [
  ["no :method", request({ ":method": undefined }), /no :method/],
  ["an empty :method", request({ ":method": "" }), /no :method/],
  ["a method that is no token", request({ ":method": "GE T" }), /:method holds/],
  ["CONNECT", request({ ":method": "CONNECT" }), /CONNECT is not served/],
  ["extended CONNECT", [[":protocol", "websocket"], ...base], /extended CONNECT/],
  ["no :scheme", request({ ":scheme": undefined }), /no :scheme/],
  ["another scheme", request({ ":scheme": "ftp" }), /neither http nor https/],
  ["no :path", request({ ":path": undefined }), /no :path/],
  ["an empty :path", request({ ":path": "" }), /no :path/],
  ["an absolute :path", request({ ":path": "https://other/api" }), /begin with a slash/],
  ["* with another method", request({ ":path": "*" }), /begin with a slash/],
  ["a blank in :path", request({ ":path": "/a b" }), /:path holds/],
  ["a fragment in :path", request({ ":path": "/a#b" }), /:path holds/],
  ["a raw octet in :path", request({ ":path": "/\xe9" }), /:path holds/],
  ["no authority", request({ ":authority": undefined }), /neither :authority nor host/],
  ["a host that differs", request({}, ["host", "other"]), /differ/],
  ["several hosts", request({}, ["host", "10.0.0.1:443"], ["host", "10.0.0.1:443"]), /several host/],
  ["a user in the authority", request({ ":authority": "me@api" }), /user name/],
  ["a pseudo field twice", [...base, [":path", "/api/v1/pods?watch=1"]], /several :path/],
  ["a pseudo field behind a regular one", [["accept", "*"], ...base], /":method" stands behind/],
  ["an unknown pseudo field", [...base, [":status", "200"]], /":status" is no field/],
  ["a name in upper case", request({}, ["Accept", "*"]), /upper case/],
  ["an empty name", request({}, ["", "x"]), /no name/],
  ["a blank in a name", request({}, ["a b", "x"]), /name holds/],
  ["a colon in a name", request({}, ["a:b", "x"]), /name holds/],
  ["CR LF in a value", request({}, ["a", "b\r\nc: d"]), /control character/],
  ["NUL in a value", request({}, ["a", "b\0"]), /control character/],
  ["CR LF in a pseudo field's value", request({ ":authority": "a\r\nb" }), /control character/],
  ["a blank before a value", request({}, ["a", " b"]), /begins or ends/],
  ["a tab behind a value", request({}, ["a", "b\t"]), /begins or ends/],
  ["te with gzip", request({}, ["te", "gzip, trailers"]), /te is something else/],
  ["several lengths, though equal", request({}, ["content-length", "1"], ["content-length", "1"]), /several/],
  ["a length with a sign", request({}, ["content-length", "+1"]), /plain number/],
  ["a list of lengths", request({}, ["content-length", "1, 1"]), /plain number/],
  ["an empty length", request({}, ["content-length", ""]), /plain number/],
  ["a length of 16 digits", request({}, ["content-length", "1000000000000000"]), /plain number/],
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map(
    (name) => [name, request({}, [name, "close"]), /does not exist in HTTP\/2/] as const,
  ),
];
for (const [what, pairs, message] of refused) {
  test(`readRequestFields: refuses ${what}`, () => {
    const fields = fieldsOf(pairs);
    assertRefused(() => readRequestFields(fields), message);
    // What was found out about fields of the table must not let them pass the next time.
    assertRefused(() => readRequestFields(fields), message);
  });
}

test("checkTrailers: refuses what frames or routes a request, passes the rest", () => {
  checkTrailers(fieldsOf([["x-checksum", "abc"]]));
  const one = (name: string, value: string) => () => checkTrailers(fieldsOf([[name, value]]));
  assertRefused(one(":path", "/"), /":path" stands in the trailers/);
  assertRefused(one("content-length", "1"), /content-length stands in the trailers/);
  assertRefused(one("transfer-encoding", "chunked"), /does not exist/);
  assertRefused(one("X", "y"), /upper case/);
  assertRefused(one("x", "y\n"), /control character/);
});

test("readRequestFields: what passes holds no octet that could end a line of HTTP/1.1", () => {
  const octets = fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
  fc.assert(
    fc.property(fc.array(fc.tuple(octets, octets), { maxLength: 4 }), (pairs) => {
      try {
        readRequestFields(fieldsOf(request({}, ...pairs)));
      } catch (error) {
        assert.ok(error instanceof Http2StreamError, String(error));
        return;
      }
      for (const [name, value] of pairs) {
        assert.doesNotMatch(name, /[^a-z0-9!#$%&'*+.^_`|~-]/);
        assert.doesNotMatch(value, /[\0\r\n]/);
      }
    }),
    { numRuns: 2000 },
  );
});
