/** How the API server encodes an answer. */
export type Encoding = "json" | "protobuf" | "cbor";

const encodings: Readonly<Record<string, Encoding>> = {
  "application/json": "json",
  "application/vnd.kubernetes.protobuf": "protobuf",
  "application/cbor": "cbor",
  "application/cbor-seq": "cbor",
};

/** Content type of a single object in this encoding. */
export const contentTypes: Readonly<Record<Encoding, string>> = {
  json: "application/json",
  protobuf: "application/vnd.kubernetes.protobuf",
  cbor: "application/cbor",
};

/**
 * Encoding in which to answer an error, by the client's Accept header: the clause with the highest q, the
 * first of equals. Clauses that ask for a transformation (`as=Table`) do not count, as on the API server; when
 * none is left it is JSON, never 406, since an error that can be read is better than none.
 */
export function encodingFor(accept: string | undefined): Encoding {
  return accept === undefined ? "json" : (preferred(accept, false) ?? "json");
}

/**
 * Encoding that a list or watch answer is likely to have. The answer's own Content-Type decides: for custom
 * resources the API server has no protobuf and takes the client's next choice.
 */
export function answerEncodingFor(accept: string | undefined): Encoding {
  return accept === undefined ? "json" : (preferred(accept, true) ?? "json");
}

/** Encoding of a body by its Content-Type, undefined for anything that is not one of ours (YAML, text). */
export function encodingOfContentType(contentType: string): Encoding | undefined {
  return encodings[mediaTypeOf(contentType).toLowerCase()];
}

function preferred(accept: string, withTransformation: boolean): Encoding | undefined {
  let best: Encoding | undefined;
  let bestQuality = 0;
  for (const clause of accept.split(",")) {
    const encoding = encodingOfClause(clause);
    if (encoding === undefined || (!withTransformation && hasParameter(clause, "as"))) continue;
    const quality = qualityOf(clause);
    if (quality > bestQuality) [best, bestQuality] = [encoding, quality];
  }
  return best;
}

function encodingOfClause(clause: string): Encoding | undefined {
  const mediaType = mediaTypeOf(clause);
  return mediaType === "*/*" || mediaType === "*" || mediaType === "application/*"
    ? "json"
    : encodings[mediaType];
}

function mediaTypeOf(clause: string): string {
  const semicolon = clause.indexOf(";");
  return (semicolon < 0 ? clause : clause.slice(0, semicolon)).trim();
}

function hasParameter(clause: string, name: string): boolean {
  return parameterOf(clause, name) !== undefined;
}

function qualityOf(clause: string): number {
  const text = parameterOf(clause, "q");
  if (text === undefined) return 1;
  const quality = Number(text);
  return Number.isNaN(quality) ? 0 : quality;
}

function parameterOf(clause: string, name: string): string | undefined {
  for (const part of clause.split(";").slice(1)) {
    const equals = part.indexOf("=");
    if (equals > 0 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim();
  }
  return undefined;
}
