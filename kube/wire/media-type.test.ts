import assert from "node:assert/strict";
import { test } from "node:test";
import { answerEncodingFor, encodingFor, encodingOfContentType } from "./media-type.ts";

const protobufTable =
  "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const accepts: readonly (readonly [accept: string | undefined, error: string, answer: string])[] = [
  [undefined, "json", "json"],
  ["", "json", "json"],
  ["*/*", "json", "json"],
  ["application/*", "json", "json"],
  ["text/html, */*;q=0.8", "json", "json"],
  ["application/json", "json", "json"],
  ["application/vnd.kubernetes.protobuf", "protobuf", "protobuf"],
  ["application/vnd.kubernetes.protobuf,application/json", "protobuf", "protobuf"],
  ["application/vnd.kubernetes.protobuf;stream=watch", "protobuf", "protobuf"],
  ["application/json;stream=watch", "json", "json"],
  ["application/json;q=0.1,application/cbor", "cbor", "cbor"],
  ["application/cbor-seq", "cbor", "cbor"],
  ["application/json, application/vnd.kubernetes.protobuf;q=0.9", "json", "json"],
  ["application/vnd.kubernetes.protobuf;q=nonsense, application/json;q=0.1", "json", "json"],
  ["application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "json", "json"],
  [protobufTable, "json", "protobuf"],
  ["application/yaml", "json", "json"],
];

for (const [accept, error, answer] of accepts) {
  test(`media type: with accept ${accept ?? "absent"} errors are ${error} and answers ${answer}`, () => {
    assert.equal(encodingFor(accept), error);
    assert.equal(answerEncodingFor(accept), answer);
  });
}

test("media type: a content type tells the encoding of a body, whatever its parameters", () => {
  assert.equal(encodingOfContentType("application/json"), "json");
  assert.equal(encodingOfContentType("Application/JSON; charset=utf-8"), "json");
  assert.equal(encodingOfContentType("application/vnd.kubernetes.protobuf;stream=watch"), "protobuf");
  assert.equal(encodingOfContentType("application/cbor-seq"), "cbor");
  assert.equal(encodingOfContentType("text/plain"), undefined);
  assert.equal(encodingOfContentType(""), undefined);
});
