import { age, bookmarkCount, laterBookmark, memberOrder, objectVersion } from "../masks.ts";
import { type Row, row, type Scene, type Step } from "../row.ts";
import { lowerHalf } from "./lists.ts";

const secrets = "/api/v1/secrets";
const widgets = "/apis/differential.test/v1/widgets";
const protobuf = {
  accept: "application/vnd.kubernetes.protobuf;stream=watch,application/vnd.kubernetes.protobuf",
};

/** A watch of one second, if the query does not say more. The API server ends it; it shows the history, and nothing else changes. */
const watch =
  (path: string, query: string, headers: Readonly<Record<string, string>> = {}) =>
  ({ historyStart }: Scene): Step[] => [
    {
      target: `${path}?watch=1&${query.replace("FROM", `resourceVersion=${historyStart}`)}&timeoutSeconds=1`,
      headers,
      limited: true,
    },
  ];

const initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
const plain = { status: 200 };
const inCbor = { status: 200, masks: [memberOrder] };
const bookmarked = { status: 200, masks: [objectVersion, laterBookmark] };

export const watches: readonly Row[] = [
  row("watch from a resourceVersion", watch(secrets, "FROM"), plain),
  row(
    "watch with the bookmark before its end",
    watch(secrets, "FROM&allowWatchBookmarks=true&timeoutSeconds=3"),
    { status: 200, masks: [objectVersion, bookmarkCount] },
  ),
  row("watch of a namespace", watch("/api/v1/namespaces/team-a/secrets", "FROM"), plain),
  row("watch of another shard's namespace", watch("/api/v1/namespaces/team-b/secrets", "FROM"), plain),
  row(
    "watch of one object",
    watch("/api/v1/namespaces/team-a/secrets", "FROM&fieldSelector=metadata.name%3Dmoving"),
    plain,
  ),
  row("watch of one object by its path", watch("/api/v1/namespaces/team-a/secrets/moving", "FROM"), plain),
  row("watch of custom resources", watch(widgets, "FROM"), plain),
  row("watch from anywhere", watch(secrets, "resourceVersion=0"), plain),
  row("watch without a resourceVersion", watch(secrets, ""), plain),
  row("watch by the legacy prefix", watch("/api/v1/watch/secrets", "FROM"), plain),
  row(
    "watch of a namespace by the legacy prefix",
    watch("/api/v1/watch/namespaces/team-a/secrets", "FROM"),
    plain,
  ),
  row("watch in protobuf", watch(secrets, "FROM", protobuf), plain),
  row("watch in CBOR", watch(secrets, "FROM", { accept: "application/cbor" }), inCbor),
  row(
    "watch of custom resources in CBOR",
    watch(widgets, "FROM", { accept: "application/cbor-seq,application/cbor" }),
    inCbor,
  ),
  row("watch in CBOR by the type of its answer", watch(secrets, "FROM", { accept: "application/cbor-seq" }), {
    status: 406,
  }),
  row("watch as Table", watch(secrets, "FROM", { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" }), {
    status: 200,
    masks: [age],
  }),
  row(
    "watch of metadata",
    watch(secrets, "FROM", { accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" }),
    plain,
  ),
  row("WatchList", watch(secrets, initial), bookmarked),
  row("WatchList from a resourceVersion", watch(secrets, `${initial}&FROM`), bookmarked),
  row("WatchList of custom resources", watch(widgets, initial), bookmarked),
  row("WatchList in protobuf", watch(secrets, initial, protobuf), bookmarked),
  row(
    "WatchList without bookmarks",
    watch(secrets, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
    plain,
  ),
  row("WatchList without its match", watch(secrets, "sendInitialEvents=true"), { status: 422 }),
  row("watch by shardSelector, with the gate on", watch(secrets, `FROM&shardSelector=${lowerHalf}`), plain),
  row("watch from what is no number", watch(secrets, "resourceVersion=soon"), { status: 500 }),
  row("watch from the future", watch(secrets, "resourceVersion=99999999999"), plain),
  row(
    "watch of the operator's own namespace",
    [{ target: "/api/v1/namespaces/op/serviceaccounts?watch=1&timeoutSeconds=1" }],
    plain,
  ),
];
