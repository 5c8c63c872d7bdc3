/**
 * The known traps of a proxy on the way to the API server, by number, each with the tests that hold us to it. A test
 * named `trap N: ...` in `traps.test.ts` stands for itself; `elsewhere` names those of other files.
 */
export interface Trap {
  readonly effect: string;
  readonly elsewhere: readonly TestName[];
}

/** File from the root of the repository, and the name as it is written there, with "…" for what a template fills in. */
export type TestName = readonly [file: string, name: string];

const watches = "e2e/differential/rows/watches.ts";
const lists = "e2e/differential/rows/lists.ts";
const reads = "e2e/differential/rows/other-reads.ts";
const writes = "e2e/differential/rows/writes.ts";
const upgrades = "e2e/differential/upgrades.test.ts";
const server = "proxy/apiserver/server.test.ts";
const resumed = "e2e/flow/resumed-watch.test.ts";

const trap = (effect: string, ...elsewhere: readonly TestName[]): Trap => ({ effect, elsewhere });

export const traps: Readonly<Record<number, Trap>> = {
  1: trap(
    "a WatchList without the bookmark that ends its initial events: the informer never syncs",
    [watches, "WatchList"],
    [watches, "WatchList in protobuf"],
    [watches, "WatchList of custom resources"],
  ),
  2: trap("WatchList is on in one version and off in the next, and injected options end in 422", [
    watches,
    "WatchList without its match",
  ]),
  3: trap(
    "a continue token goes on under another selector than it began with",
    [resumed, "switch of limits: a continue token of the previous view gets 410"],
    [lists, "list of all namespaces through all pages"],
  ),
  4: trap("resourceVersion, match, limit and continue, each changing what the others mean", [
    "e2e/differential/rows/versions.ts",
    "list at resourceVersion …, match …, limit …, …",
  ]),
  5: trap(
    "an object that leaves the selector looks deleted, and two shards act on it",
    [
      "e2e/flow/write-fence.test.ts",
      "write fence: between revoke and the losing pod's end its writes to a moved namespace get 403, its old view stays",
    ],
    [
      resumed,
      "switch of limits: an open watch gets a 410 event and a well-formed end, and the relist shows what was gained",
    ],
    ["manager/sharding/release.test.ts", "D3: "],
  ),
  6: trap(
    "deletecollection deletes other shards' objects",
    [writes, "deletecollection"],
    [writes, "deletecollection with a selector of the client's"],
    [
      "proxy/apiserver/pipeline.test.ts",
      "D11: deletecollection is limited, counts as a write and waits for no floor",
    ],
  ),
  7: trap(
    "an encoding that the proxy does not know is changed or refused",
    [lists, "list in protobuf"],
    [lists, "list in CBOR"],
    [lists, "list as Table"],
    [lists, "list as PartialObjectMetadataList in protobuf"],
    [watches, "watch in protobuf"],
    [watches, "watch in CBOR"],
  ),
  8: trap(
    "errors that are no Status in the asked encoding, 429 without Retry-After",
    [server, "proxy: a refusal speaks the encoding that was asked for"],
    ["kube/wire/status.test.ts", "status: all three encodings are those of the API server, byte for byte"],
    [reads, "get of what is not there in CBOR"],
  ),
  9: trap("small watch events wait in a buffer until it is full"),
  10: trap("GOAWAY becomes an error of the client's"),
  11: trap("one connection pins everything to one API server", [
    server,
    "proxy: an API server that closes an idle connection closes the client's",
  ]),
  12: trap("Node's HTTP/2 client grows and hangs under long sessions", [
    server,
    "proxy: after 50 connections no socket, timer or running request is left",
  ]),
  13: trap(
    "a token that was read once is refused after an hour",
    [
      "proxy/apiserver/caller-identity.test.ts",
      "D39: exec goes up with the caller's own credentials, or with none, and no identity is added",
    ],
    [
      "proxy/apiserver/floor-reader.test.ts",
      "floor reader: a token that the kubelet replaced is used from the next read on",
    ],
    [
      "proxy/control-client.test.ts",
      "control client: a refusal is logged once with the manager's reason, and the token is read again",
    ],
  ),
  14: trap("a connection that is dead without a word shows an old state for hours", [
    "proxy/control-client.test.ts",
    "control client: a manager that stops answering, as a stopped process does, is found dead by PING",
  ]),
  15: trap(
    "all watches are cut at once and come back at once",
    [
      "proxy/apiserver/drain.test.ts",
      "D32: a proxy that ends cuts no request: idle connections close, requests finish, watches end cleanly and last",
    ],
    [
      "proxy/apiserver/running-requests.test.ts",
      "switch: watches whose selector stays, of other resources or in the pod's own namespace, are left alone",
    ],
  ),
  16: trap(
    "upgrades lose their caller's identity, or time out",
    [upgrades, "upgrades by …: exec gives output, errors and exit codes, and takes input"],
    [upgrades, "upgrades by …: port-forward carries megabytes both ways, on several connections"],
    [server, "proxy: exec by … over … is a raw tunnel from 101 on, early bytes and half-close included"],
  ),
  17: trap(
    "after a move a watch goes on from a version of before",
    [
      resumed,
      "switch of limits: a watch from a list of the previous view gets 410, and the relist shows what was gained",
    ],
    [resumed, "switch of limits: a watch of the previous view gets 410 also from the proxy's next process"],
  ),
  18: trap(
    "discovery, OpenAPI and paths that are no resources are changed",
    [reads, "aggregated discovery"],
    [reads, "aggregated discovery by ETag"],
    [reads, "OpenAPI v3 by ETag"],
    [reads, "version"],
    [reads, "health"],
  ),
  19: trap("the answer to the creation of a lease is 201, and verbs other than update pass by", [
    writes,
    "lease",
  ]),
  20: trap(
    "an API server without the gate overlooks shardSelector silently",
    [lists, "list by shardSelector, with the gate on"],
    [lists, "list by a shardSelector that is none"],
    [watches, "watch by shardSelector, with the gate on"],
  ),
  21: trap(
    "an operator waits for its informer to come to the version of its own write",
    [watches, "watch with the bookmark before its end"],
    [
      "e2e/conformance/policies.test.ts",
      "stamping: an object gets its labels in the request that creates it, and again when they are stripped",
    ],
  ),
};
