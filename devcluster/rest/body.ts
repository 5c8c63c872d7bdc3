import { parse as parseYaml } from "yaml";
import { decodeEnvelope, hasProtobuf, ProtobufError } from "../builtin/protobuf.ts";
import { badRequest, StatusError, unsupportedMediaType } from "../status-error.ts";
import type { ApiRequest } from "./exchange.ts";

/** As the API server's `MaxRequestBodyBytes`. */
const bodyLimitBytes = 3 * 1024 * 1024;

/** @throws StatusError 413 */
export async function readBody(request: ApiRequest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > bodyLimitBytes) {
      const message = `Request entity too large: limit is ${bodyLimitBytes}`;
      throw new StatusError({ code: 413, reason: "RequestEntityTooLarge", message });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The media type without parameters; JSON when there is none. */
export function mediaTypeOf(contentType: string | undefined): string {
  const [type = ""] = (contentType ?? "").split(";");
  return type.trim().toLowerCase() || "application/json";
}

/**
 * Parses the body of a create, update, delete or review: JSON or YAML, and protobuf for built-in kinds.
 *
 * @param schemaName of the kind that the body should hold
 * @throws StatusError 400, 415
 */
export function parseBody(bytes: Buffer, mediaType: string, schemaName: string): unknown {
  if (mediaType === "application/json") return parseJson(bytes);
  if (mediaType === "application/yaml") return parseYamlText(bytes);
  const readable = ["application/json", "application/yaml"];
  if (hasProtobuf(schemaName)) readable.push("application/vnd.kubernetes.protobuf");
  if (!readable.includes(mediaType)) {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${readable.join(", ")}`,
    );
  }
  try {
    return decodeEnvelope(bytes, schemaName);
  } catch (error) {
    if (error instanceof ProtobufError) throw badRequest(`error decoding the body: ${error.message}`);
    throw error;
  }
}

/** @throws StatusError 400 */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    const start = bytes.length === 0 ? "<empty>" : bytes.subarray(0, 200).toString();
    throw badRequest(
      `the object provided is unrecognized: couldn't get version/kind; json parse error: ${messageOf(error)} (${start})`,
    );
  }
}

/** YAML, and JSON as a part of it. @throws StatusError 400 */
export function parseYamlText(bytes: Buffer): unknown {
  const text = bytes.toString();
  try {
    return text.trimStart().startsWith("{") ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw badRequest(`error decoding YAML: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
