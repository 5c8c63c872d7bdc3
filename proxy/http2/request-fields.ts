import { COLON, HTAB, requestValueBytes, SP, targetBytes, tokenBytes } from "../http1/characters.ts";
import { ErrorCode } from "./constants.ts";
import { Http2StreamError } from "./errors.ts";
import type { HeaderField } from "./hpack-field.ts";

/** What is read of a request's header list. */
export interface RequestFields {
  readonly method: string;
  /** Origin form: begins with "/"; or "*" of OPTIONS. */
  readonly path: string;
  /** `:authority`, else Host. */
  readonly authority: string;
  /** Octets of the content; undefined without content-length. */
  readonly contentLength: number | undefined;
  /** Value of the first accept field. */
  readonly accept: string | undefined;
  readonly hasAuthorization: boolean;
  readonly expectsContinue: boolean;
  /** All of them, as they came. */
  readonly fields: readonly HeaderField[];
}

const malformed = (what: string): Http2StreamError =>
  new Http2StreamError(ErrorCode.PROTOCOL_ERROR, `request fields: ${what}`);

/** Octets of a field name: a token in lower case (RFC 9113 section 8.2.1). */
const nameBytes = tokenBytes.map((isToken, byte) => (byte >= 65 && byte <= 90 ? 0 : isToken));

/** Fields of an HTTP/1.1 connection, which HTTP/2 does not have (RFC 9113 section 8.2.2). */
const connectionSpecific = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

function holdsOnly(text: string, allowed: Uint8Array): boolean {
  for (let index = 0; index < text.length; index++) {
    if (allowed[text.charCodeAt(index)] !== 1) return false;
  }
  return true;
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** RFC 9113 section 8.2.1, for fields of any kind. */
function checkValue(field: HeaderField): void {
  const { name, value } = field;
  if (!holdsOnly(value, requestValueBytes)) throw malformed(`the value of ${name} holds a control character`);
  if (value !== "" && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)))) {
    throw malformed(`the value of ${name} begins or ends with a blank`);
  }
}

function checkRegular(field: HeaderField): void {
  const { name, value } = field;
  if (name === "") throw malformed("a field has no name");
  if (!holdsOnly(name, nameBytes)) {
    throw malformed("a field's name holds a byte that is not allowed there; upper case is not");
  }
  if (connectionSpecific.has(name)) throw malformed(`${name} does not exist in HTTP/2`);
  if (name === "te" && value !== "trailers") throw malformed("te is something else than trailers");
  checkValue(field);
}

/**
 * A content-length.
 *
 * @returns octets, or undefined unless it is 1 to 15 digits (15 digits are below 2^53, so no count is ever rounded)
 */
function lengthOf(value: string): number | undefined {
  if (value.length < 1 || value.length > 15) return undefined;
  let total = 0;
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) return undefined;
    total = total * 10 + digit;
  }
  return total;
}

/** Gathers what matters of one header list, in order. */
class RequestReading {
  #method: string | undefined;
  #scheme: string | undefined;
  #path: string | undefined;
  #authority: string | undefined;
  #host: string | undefined;
  #contentLength: number | undefined;
  #accept: string | undefined;
  #hasAuthorization = false;
  #expectsContinue = false;
  #hasRegular = false;

  read(field: HeaderField): void {
    if (field.name.charCodeAt(0) === COLON) {
      if (this.#hasRegular)
        throw malformed(`${shown(field.name)} stands behind a field that is none of HTTP/2's own`);
      if (!field.isChecked) checkValue(field);
      this.#readPseudo(field);
    } else {
      this.#hasRegular = true;
      if (!field.isChecked) checkRegular(field);
      this.#readRegular(field);
    }
    field.isChecked = true;
  }

  #readPseudo({ name, value }: HeaderField): void {
    switch (name) {
      case ":method":
        this.#method = once(this.#method, name, value);
        break;
      case ":scheme":
        this.#scheme = once(this.#scheme, name, value);
        break;
      case ":path":
        this.#path = once(this.#path, name, value);
        break;
      case ":authority":
        this.#authority = once(this.#authority, name, value);
        break;
      case ":protocol":
        throw malformed("extended CONNECT (:protocol) is not served; upgrades are, over HTTP/1.1");
      default:
        throw malformed(`${shown(name)} is no field of a request`);
    }
  }

  #readRegular({ name, value }: HeaderField): void {
    switch (name) {
      case "accept":
        this.#accept ??= value;
        break;
      case "authorization":
        this.#hasAuthorization = true;
        break;
      case "content-length":
        if (this.#contentLength !== undefined) throw malformed("there are several content-length fields");
        this.#contentLength = lengthOf(value);
        if (this.#contentLength === undefined)
          throw malformed("content-length is not a plain number of octets");
        break;
      case "expect":
        if (value.toLowerCase() === "100-continue") this.#expectsContinue = true;
        break;
      case "host":
        this.#host = once(this.#host, name, value);
        break;
    }
  }

  finish(fields: readonly HeaderField[]): RequestFields {
    const method = this.#readMethod();
    if (this.#scheme !== "https" && this.#scheme !== "http") {
      throw malformed("there is no :scheme, or it is neither http nor https");
    }
    return {
      method,
      path: this.#readPath(method),
      authority: this.#readAuthority(),
      contentLength: this.#contentLength,
      accept: this.#accept,
      hasAuthorization: this.#hasAuthorization,
      expectsContinue: this.#expectsContinue,
      fields,
    };
  }

  #readMethod(): string {
    const method = this.#method ?? "";
    if (method === "") throw malformed("there is no :method");
    if (!holdsOnly(method, tokenBytes)) throw malformed(":method holds a byte that is not allowed there");
    if (method === "CONNECT") throw malformed("CONNECT is not served");
    return method;
  }

  #readPath(method: string): string {
    const path = this.#path ?? "";
    if (path === "") throw malformed("there is no :path");
    if (path === "*" && method === "OPTIONS") return path;
    if (path.charCodeAt(0) !== 47) throw malformed(":path does not begin with a slash");
    if (!holdsOnly(path, targetBytes)) throw malformed(":path holds a byte that is not allowed there");
    return path;
  }

  #readAuthority(): string {
    const authority = this.#authority ?? this.#host;
    if (authority === undefined) throw malformed("there is neither :authority nor host");
    if (this.#host !== undefined && this.#host.toLowerCase() !== authority.toLowerCase()) {
      throw malformed(":authority and host differ");
    }
    if (authority.includes("@")) throw malformed("a user name stands in :authority");
    return authority;
  }
}

function once(previous: string | undefined, name: string, value: string): string {
  if (previous !== undefined) throw malformed(`there are several ${name} fields`);
  return value;
}

/** A name out of a request, safe to put into a message. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 40));
}

/**
 * Reads the header list of a request and checks it (RFC 9113 sections 8.2, 8.3.1): what the API server behind us
 * could read in another way is refused.
 *
 * @throws Http2StreamError PROTOCOL_ERROR
 */
export function readRequestFields(fields: readonly HeaderField[]): RequestFields {
  const reading = new RequestReading();
  for (const field of fields) reading.read(field);
  return reading.finish(fields);
}

/**
 * Checks the fields that follow a request's content (RFC 9113 section 8.1).
 *
 * @throws Http2StreamError PROTOCOL_ERROR
 */
export function checkTrailers(fields: readonly HeaderField[]): void {
  for (const field of fields) {
    if (field.name.charCodeAt(0) === COLON) throw malformed(`${shown(field.name)} stands in the trailers`);
    if (field.name === "content-length" || field.name === "host") {
      throw malformed(`${field.name} stands in the trailers`);
    }
    if (!field.isChecked) checkRegular(field);
    field.isChecked = true;
  }
}
