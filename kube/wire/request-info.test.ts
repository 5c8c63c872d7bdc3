import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { parseRequestInfo } from "./request-info.ts";

/** verb apiGroup/apiVersion namespace resource/subresource name; "-" for nothing. Non-resource: verb path. */
function summary(method: string, target: string): string {
  const info = parseRequestInfo(method, target);
  if (!info.isResource) return `${info.verb} ${info.path}`;
  const or = (text: string) => (text === "" ? "-" : text);
  return [
    or(info.verb),
    `${or(info.apiGroup)}/${info.apiVersion}`,
    or(info.namespace),
    info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`,
    or(info.name),
  ].join(" ");
}

// Each line was held to apiserver 0.36's RequestInfoFactory.
const understood: readonly (readonly [method: string, target: string, expected: string])[] = [
  ["GET", "/", "get /"],
  ["GET", "/healthz?verbose", "get /healthz"],
  ["GET", "/api", "get /api"],
  ["GET", "/api/v1", "get /api/v1"],
  ["GET", "/api/v1/", "get /api/v1/"],
  ["GET", "/apis/apps/v1", "get /apis/apps/v1"],
  ["POST", "/apifoo/v1/pods", "post /apifoo/v1/pods"],
  ["GET", "/openapi/v3/apis/apps/v1", "get /openapi/v3/apis/apps/v1"],
  ["GET", "/api/v1/pods", "list -/v1 - pods -"],
  ["HEAD", "/api/v1/pods", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods/", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods//", "list -/v1 - pods -"],
  ["GET", "/api/v1/%70ods", "list -/v1 - pods -"],
  ["GET", "/%61pi/v1/pods", "list -/v1 - pods -"],
  ["GET", "/apis/apps/v1/deployments", "list apps/v1 - deployments -"],
  ["GET", "/api/v1/namespaces/x/pods", "list -/v1 x pods -"],
  ["GET", "/api/v1/namespaces/x/pods/p", "get -/v1 x pods p"],
  ["GET", "/api/v1/namespaces/x/pods/p?watch=true", "get -/v1 x pods p"],
  ["GET", "/api/v1/namespaces/x/pods/p/log?follow=true", "get -/v1 x pods/log p"],
  ["POST", "/api/v1/namespaces/x/pods/p/eviction", "create -/v1 x pods/eviction p"],
  ["GET", "/api/v1/namespaces/x/services/s/proxy/a/b", "get -/v1 x services/proxy s"],
  ["GET", "/api/v1/namespaces/x/services/s/proxy/a%2Fb//c", "get -/v1 x services/proxy s"],
  ["GET", "/api/v1/namespaces", "list -/v1 - namespaces -"],
  ["GET", "/api/v1/namespaces/x", "get -/v1 x namespaces x"],
  ["DELETE", "/api/v1/namespaces/x", "delete -/v1 x namespaces x"],
  ["PUT", "/api/v1/namespaces/x/finalize", "update -/v1 x namespaces/finalize x"],
  ["PATCH", "/api/v1/namespaces/x/status", "patch -/v1 x namespaces/status x"],
  ["GET", "/api/v1/namespaces/x/status/y", "get -/v1 x namespaces/status x"],
  ["GET", "/apis/apps/v1/namespaces/x/deployments/d/scale", "get apps/v1 x deployments/scale d"],
  ["POST", "/api/v1/namespaces/x/pods", "create -/v1 x pods -"],
  ["PUT", "/api/v1/namespaces/x/pods/p", "update -/v1 x pods p"],
  ["PATCH", "/api/v1/namespaces/x/pods/p", "patch -/v1 x pods p"],
  ["DELETE", "/api/v1/namespaces/x/pods/p", "delete -/v1 x pods p"],
  ["DELETE", "/api/v1/namespaces/x/pods", "deletecollection -/v1 x pods -"],
  ["OPTIONS", "/api/v1/namespaces/x/pods", "- -/v1 x pods -"],
  ["get", "/api/v1/namespaces/x/pods", "- -/v1 x pods -"],
  ["GET", "/api/v1/watch/pods", "watch -/v1 - pods -"],
  ["POST", "/api/v1/watch/namespaces/x/pods", "watch -/v1 x pods -"],
  ["GET", "/api/v1/watch/namespaces/x/pods/p", "watch -/v1 x pods p"],
  ["GET", "/apis/apps/v1/watch/namespaces/x/deployments", "watch apps/v1 x deployments -"],
  ["GET", "/api/v1/proxy/namespaces/x/pods/p/a", "proxy -/v1 x pods p"],
  ["GET", "/api/v1/pods?watch", "watch -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=", "watch -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=1", "watch -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=yes", "watch -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=0", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=FaLsE", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=false&watch=true", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?w%61tch=fal%73e", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?watch=1;x", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name%3Dp", "list -/v1 - pods p"],
  ["GET", "/api/v1/pods?fieldSelector=a%3Db,metadata.name==p&watch=1", "watch -/v1 - pods p"],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name!%3Dp", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?fieldSelector=metadata.name%3Da%252Fb", "list -/v1 - pods -"],
  ["GET", "/api/v1/pods?fieldSelector=a%3Db%5C,metadata.name%3Dp", "list -/v1 - pods -"],
];

for (const [method, target, expected] of understood) {
  test(`request info: ${method} ${target} is ${expected}`, () => {
    assert.equal(summary(method, target), expected);
  });
}

const refused: readonly (readonly [name: string, target: string, reason: RegExp])[] = [
  ["an empty target", "", /not a path/],
  ["absolute form", "https://10.0.0.1/api/v1/pods", /not a path/],
  ["authority form", "10.0.0.1:443", /not a path/],
  ["asterisk form", "*", /not a path/],
  ["two slashes at the start, which other parsers take for a host", "//x/api/v1/pods", /begins with "\/\/"/],
  ["an encoded second slash at the start", "/%2Fapi/v1/pods", /begins with "\/\/"/],
  ["two slashes where a balancer could merge them", "/api/v1//pods", /empty segment/],
  ["an empty namespace", "/api/v1/namespaces//pods", /empty segment/],
  ["an empty version", "/api//pods", /empty segment/],
  ["a parent segment", "/api/v1/namespaces/x/pods/p/proxy/../../../../../../secrets", /segment "\.\."/],
  ["an encoded parent segment", "/healthz/%2e%2E/api/v1/pods", /segment "\.\."/],
  ["a dot segment", "/api/./v1/pods", /segment "\."/],
  ["an encoded slash between the parts that decide", "/api/v1%2Fpods", /encoded slash/],
  ["an encoded slash in a name", "/api/v1/namespaces/x/pods/a%2fb", /encoded slash/],
  ["an encoded slash in front of a subresource", "/api/v1/namespaces/x/pods%2Fp/log", /encoded slash/],
  ["an encoded slash in a discovery path", "/api%2Fv1", /encoded slash/],
  ["double encoding", "/api/v1/%2570ods", /encoded twice/],
  ["broken percent-encoding", "/api/v1/po%ds", /broken percent/],
  ["an encoding cut short", "/api/v1/pods%2", /broken percent/],
  ["bytes that are no UTF-8", "/api/v1/%ff", /broken percent/],
  ["an encoded NUL", "/api/v1/pods%00", /control character/],
  ["an encoded newline", "/api/v1/pods%0a", /control character/],
  ["a raw control character", "/api/v1/pods\u0001", /control character/],
  ["a space", "/api/v1/pods x", /space/],
  ["a raw character outside ASCII", "/api/v1/p\u00f6ds", /outside ASCII/],
  ["a fragment", "/api/v1/pods#?watch=1", /"#"/],
  ["a backslash", "/api\\v1/pods", /backslash/],
  ["an encoded backslash", "/api/v1%5Cpods", /backslash/],
  ["a watch of nothing", "/api/v1/watch", /names no resource/],
  // The long s folds to an ASCII letter in Go, but not here.
  ["a boolean outside ASCII", "/api/v1/pods?watch=fal%C5%BFe", /outside ASCII/],
];

for (const [name, target, reason] of refused) {
  test(`request info: ${name} is refused`, () => {
    assert.throws(
      () => parseRequestInfo("GET", target),
      (error: unknown) =>
        error instanceof CtrlmeshError && error.code === "MALFORMED_REQUEST" && reason.test(error.message),
    );
  });
}

test("request info: a query with more parameters than Go parses is refused, since Go would ignore it whole", () => {
  const parameters = (count: number) =>
    `/api/v1/pods?${Array.from({ length: count }, (_, i) => `p${i}`).join("&")}`;
  assert.equal(parseRequestInfo("GET", parameters(1_000)).verb, "list");
  assert.throws(() => parseRequestInfo("GET", parameters(1_001)), /more than 1000 parameters/);
});

test("request info: the query stays raw, the path is decoded", () => {
  const info = parseRequestInfo("GET", "/api/v1/%70ods?a=%20&b?c=%zz");
  assert.equal(info.path, "/api/v1/pods");
  assert.equal(info.query, "a=%20&b?c=%zz");
});
