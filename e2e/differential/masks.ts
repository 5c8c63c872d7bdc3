import { cborAsText } from "./cbor.ts";

/**
 * What differs between any two requests, whoever carries them. A row of the table names the masks that it needs,
 * and the same request sent twice directly proves of each that it is needed, and that no other is.
 */
export interface Mask {
  readonly name: string;
  readonly reason: string;
  /** Header, in lower case, whose value is not compared; that it is there, and how often, still is. */
  readonly header?: string;
  /** Replaces what varies in a body, decompressed and taken as Latin-1, and nothing around it. */
  readonly body?: (text: string) => string;
  /** What it hides may turn out equal in two answers. */
  readonly byChance?: true;
}

const hidden = "<masked>";

/** Needed by every row. */
export const everywhere: readonly Mask[] = [
  { name: "Date", reason: "the time of the answer, in whole seconds", header: "date" },
  { name: "Audit-Id", reason: "a random number for each request", header: "audit-id" },
];

/** resourceVersion of a list: that of the cluster's last write of any object, the API server's own leases included. */
/** One of the lower 32 characters, or any of the upper 128: in protobuf what is no text. */
const raw = "[^ -~]";
const byte = (value: number): string => String.fromCharCode(value);

/** Order of members in CBOR. */
export const memberOrder: Mask = {
  name: "memberOrder",
  reason: "the API server shuffles the members of each map, so that nobody relies on their order",
  byChance: true,
  body: (text) => cborAsText(Buffer.from(text, "latin1")),
};

/** resourceVersion of a list: that of the cluster's last write of any object, the API server's own leases included. */
export const listVersion: Mask = {
  name: "listVersion",
  reason: "each write to any object, by anybody, counts it up",
  body: (text) => listVersions.reduce((rest, pattern) => rest.replace(pattern, `$1${hidden}`), text),
};

const listVersions: readonly RegExp[] = [
  // JSON, compact and pretty: metadata before items.
  /^(\{\s*"kind":\s*"[A-Za-z]+",\s*"apiVersion":\s*"[^"]+",\s*"metadata":\s*\{\s*"resourceVersion":\s*")\d+/,
  // Custom resources, and CBOR in the order of names: metadata behind items.
  /("metadata":\{(?:"continue":"[^"]*",)?(?:"remainingItemCount":\d+,)?"resourceVersion":")\d+(?="\}\}\n?$)/,
  // YAML.
  /(\nmetadata:\n {2}resourceVersion: ")\d+(?="\n$)/,
  // Protobuf: the list's metadata is the first field of the raw object, its resourceVersion has number 2.
  new RegExp(`^(k8s${raw}[^*]{0,90}?\\n${raw}\\n${raw}\\x12${raw})\\d+`),
];

/** resourceVersion inside of a continue token. */
export const continueToken: Mask = {
  name: "continueToken",
  reason: "it names the list's resourceVersion",
  body: (text) =>
    text.replace(/("continue":\s*")([A-Za-z0-9_-]+)/g, (_, before: string, token: string) => {
      const decoded = Buffer.from(token, "base64url").toString("latin1");
      return before + decoded.replace(/"rv":-?\d+/, `"rv":${hidden}`);
    }),
};

/** resourceVersion of any object or bookmark. */
export const objectVersion: Mask = {
  name: "objectVersion",
  reason: "the object is another in each data set, or the bookmark another at each time",
  body: (text) =>
    text
      .replace(/("?resourceVersion"?:\s*")\d+/g, `$1${hidden}`)
      // Protobuf: uid (5), empty in a bookmark, resourceVersion (6), generation (7).
      .replace(
        new RegExp(`(\\*(?:\\$[0-9a-f-]{36}|\\$${hidden}|${raw})2${raw})\\d+?(?=8${raw})`, "g"),
        `$1${hidden}`,
      ),
};

export const bookmarkCount: Mask = {
  name: "bookmarkCount",
  reason: "a timer of the API server sends them, once or twice before the end of a watch",
  byChance: true,
  body: (text) => text.replace(/(\{"type":"BOOKMARK"[^\n]*\n)\1+/g, "$1"),
};

export const laterBookmark: Mask = {
  name: "laterBookmark",
  reason: "a timer of the API server may send one behind the bookmark that ends the initial events",
  byChance: true,
  body: (text) =>
    text
      .replace(/(initial-events-end[^\n]*\n)(?:\{"type":"BOOKMARK"[^\n]*\n)+$/, "$1")
      // Protobuf: a frame's length in four bytes, the event in its envelope.
      .replace(
        new RegExp(
          `(initial-events-end${raw}${raw}true)[\\s\\S]{0,20}?${byte(0)}{3}[\\s\\S]k8s${raw}[\\s\\S]{0,20}BOOKMARK[\\s\\S]{0,200}$`,
        ),
        "$1",
      ),
};

export const uid: Mask = {
  name: "uid",
  reason: "random for each object",
  body: (text) => text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, hidden),
};

export const time: Mask = {
  name: "time",
  reason: "creationTimestamp, and the times in managedFields",
  body: (text) =>
    text
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, hidden)
      // Protobuf: in 8 bytes seconds (1), which take five, and no nanoseconds (2).
      .replace(new RegExp(`${byte(8)}${byte(8)}[\\s\\S]{5}${byte(16)}${byte(0)}`, "g"), hidden),
};

export const age: Mask = {
  name: "age",
  reason: "the column of a Table that says how old the object is",
  body: (text) => text.replace(/("cells":\[[^\]]*?,")(?:\d+[smh])+("\])/g, `$1${hidden}$2`),
};

export const generatedName: Mask = {
  name: "generatedName",
  reason: "five random characters behind generateName",
  body: (text) => text.replace(/("name":\s*"generated-)[a-z0-9]{5}"/g, `$1${hidden}"`),
};

/** The twin data sets, one for each time a row that writes is run. */
export const twin: Mask = {
  name: "twin",
  reason: "each run of a row that writes has a namespace of its own",
  body: (text) => text.replace(/twin-\d\d\d/g, hidden),
};

export const credential: Mask = {
  name: "credential",
  reason: "a token is signed anew, with its times and a random identity",
  body: (text) => text.replace(/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g, hidden),
};

/** Of metrics only the families of the Go runtime and of the process stay, which are there from the start. */
export const counters: Mask = {
  name: "counters",
  reason: "metrics count this very request, and some families come with what they first count",
  body: (text) =>
    [...text.matchAll(/^# TYPE ((?:go|process)_\S+ \S+)$/gm)].map(([, family]) => family).join("\n"),
};

/** Of the index of OpenAPI v3, which is made for each request. */
export const lastModified: Mask = {
  name: "lastModified",
  reason: "it is the time of the answer",
  header: "last-modified",
};

/** How long gzip's output is hangs on each byte that is masked. */
export const gzipLength: Mask = {
  name: "gzipLength",
  reason: "the compressed body holds what is masked behind its decompression",
  header: "content-length",
  byChance: true,
};
