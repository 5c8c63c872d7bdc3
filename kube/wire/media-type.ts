/** How the API server encodes an answer. */
export type Encoding = "json" | "protobuf" | "cbor";
