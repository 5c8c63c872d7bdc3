import type { IncomingMessage } from "node:http";
import { parse as parseYaml } from "yaml";
import { badRequest, StatusError, unsupportedMediaType } from "../status-error.ts";

/** As the API server's `MaxRequestBodyBytes`. */
const bodyLimitBytes = 3 * 1024 * 1024;

/** @throws StatusError 413 */
export async function readBody(request: IncomingMessage): Promise<string> {
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
  return Buffer.concat(chunks).toString();
}

/** The media type without parameters; JSON when there is none. */
export function mediaTypeOf(contentType: string | undefined): string {
  const [type = ""] = (contentType ?? "").split(";");
  return type.trim().toLowerCase() || "application/json";
}

/**
 * Parses the body of a create, update, delete or review: JSON or YAML.
 *
 * @throws StatusError 400, 415
 */
export function parseBody(text: string, mediaType: string): unknown {
  if (mediaType === "application/yaml") return parseYamlText(text);
  if (mediaType !== "application/json") {
    throw unsupportedMediaType(
      "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
    );
  }
  return parseJson(text);
}

/** @throws StatusError 400 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(
      `error decoding the body: json parse error: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** YAML, and JSON as a part of it. @throws StatusError 400 */
export function parseYamlText(text: string): unknown {
  try {
    return text.trimStart().startsWith("{") ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw badRequest(`error decoding YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}
