import { age, continueToken, listVersion, memberOrder } from "../masks.ts";
import { member, type Row, row, rowOf, type Step } from "../row.ts";

const json = { accept: "application/json" };
const protobuf = { accept: "application/vnd.kubernetes.protobuf" };
const configMaps = "/api/v1/configmaps";
const widgets = "/apis/differential.test/v1/widgets";

function list(target: string, headers: Readonly<Record<string, string>> = json): Step {
  return { target, headers, limited: true };
}

const versioned = { status: 200, masks: [listVersion] };

const inCbor = { status: 200, masks: [memberOrder, listVersion] };

const paged = (target: string, headers = json) =>
  function* () {
    for (let token: unknown = ""; token !== undefined; ) {
      const more = token === "" ? "" : `&continue=${token}`;
      token = member(yield list(`${target}?limit=100${more}`, headers), "metadata", "continue");
    }
  };

/** The Accept of kubectl get. */
const table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const partial = "as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/** KEP-5866, gate ShardedListAndWatch: objects whose uid hashes to the lower half. */
export const lowerHalf = encodeURIComponent(
  "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')",
);

/** Lists of data that nobody changes any more. */
export const lists: readonly Row[] = [
  row(
    "list by shardSelector, with the gate on",
    [
      list(`${configMaps}?shardSelector=${lowerHalf}`),
      list(`${configMaps}?shardSelector=${lowerHalf}&limit=5`),
    ],
    { status: [200, 200], masks: [listVersion, continueToken] },
  ),
  row("list by a shardSelector that is none", [list(`${configMaps}?shardSelector=nonsense`)], {
    status: 500,
  }),
  row("list of a namespace", [list("/api/v1/namespaces/team-a/configmaps")], versioned),
  row("list of another shard's namespace", [list("/api/v1/namespaces/team-b/configmaps")], versioned),
  row("list of all namespaces", [list(configMaps)], versioned),
  row(
    "list with a selector of the client's",
    [list(`${configMaps}?labelSelector=team,kind!%3Dodd`)],
    versioned,
  ),
  row("list with an empty selector of the client's", [list(`${configMaps}?labelSelector=`)], versioned),
  row("list with a bad selector of the client's", [list(`${configMaps}?labelSelector=a(b`)], { status: 400 }),
  row(
    "list with a field selector",
    [list(`${configMaps}?fieldSelector=metadata.name%3Dbulk-007`)],
    versioned,
  ),
  row(
    "list in the operator's own namespace",
    [{ target: "/api/v1/namespaces/op/serviceaccounts" }],
    versioned,
  ),
  row("list of a kind that is not limited", [{ target: "/api/v1/namespaces" }], versioned),
  row("list of custom resources", [list(widgets)], versioned),
  row(
    "list of custom resources of a namespace",
    [list("/apis/differential.test/v1/namespaces/team-a/widgets")],
    versioned,
  ),
  row("list with limit", [list(`${configMaps}?limit=3`)], {
    status: 200,
    masks: [listVersion, continueToken],
  }),
  rowOf("list through all pages", paged("/api/v1/namespaces/team-a/configmaps"), {
    status: [200, 200, 200, 200],
    masks: [listVersion, continueToken],
  }),
  rowOf("list of all namespaces through all pages", paged(configMaps), {
    status: [200, 200, 200, 200, 200],
    masks: [listVersion, continueToken],
  }),
  row("list with a slash behind it", [list(`${configMaps}/`)], versioned),
  row("list with an encoded path", [list("/api/v1/%63onfigmaps")], versioned),
  row("list with pretty=true", [list("/api/v1/namespaces/team-a/secrets?pretty=true")], versioned),
  row("list with gzip", [list(configMaps, { ...json, "accept-encoding": "gzip" })], versioned),
  row(
    "list with gzip among others",
    [list(configMaps, { ...json, "accept-encoding": "br, gzip;q=0.5" })],
    versioned,
  ),
  row("list that is too small for gzip", [list(widgets, { "accept-encoding": "gzip" })], versioned),
  row("list in protobuf", [list(configMaps, protobuf)], versioned),
  row(
    "list in protobuf with gzip",
    [list(configMaps, { ...protobuf, "accept-encoding": "gzip" })],
    versioned,
  ),
  row("list in protobuf where there is none", [list(widgets, protobuf)], { status: 406 }),
  row(
    "list in protobuf, else JSON",
    [list(widgets, { accept: "application/vnd.kubernetes.protobuf,application/json" })],
    versioned,
  ),
  row("list in CBOR", [list("/api/v1/namespaces/team-a/secrets", { accept: "application/cbor" })], inCbor),
  row("list of custom resources in CBOR", [list(widgets, { accept: "application/cbor" })], inCbor),
  row("list in YAML", [list("/api/v1/namespaces/team-a/secrets", { accept: "application/yaml" })], {
    status: 200,
    masks: [listVersion],
  }),
  row("list as Table", [list(configMaps, { accept: table })], { status: 200, masks: [listVersion, age] }),
  row("list of custom resources as Table", [list(`${widgets}?includeObject=Object`, { accept: table })], {
    status: 200,
    masks: [listVersion, age],
  }),
  row(
    "list as PartialObjectMetadataList",
    [list(configMaps, { accept: `application/json;${partial}` })],
    versioned,
  ),
  row(
    "list as PartialObjectMetadataList in protobuf",
    [list(widgets, { accept: `application/vnd.kubernetes.protobuf;${partial}` })],
    versioned,
  ),
  row(
    "list as what it can't be",
    [list(configMaps, { accept: "application/json;as=Nonsense;v=v1;g=meta.k8s.io" })],
    {
      status: 406,
    },
  ),
  row("list in what nobody speaks", [list(configMaps, { accept: "application/xml" })], { status: 406 }),
  row(
    "list with a legal Accept of many clauses",
    [
      list("/api/v1/namespaces/team-a/secrets", {
        accept:
          'text/html;q=0.9, application/vnd.kubernetes.protobuf;q=0.2 ,*/*;q=0.1,application/json ; q=0.8;x="a,b"',
      }),
    ],
    versioned,
  ),
  row("list with no Accept that counts", [list(widgets, { accept: "*/*;q=0.001" })], versioned),
  row("list with HEAD", [{ ...list(configMaps), method: "HEAD" }], { status: 405 }),
];
