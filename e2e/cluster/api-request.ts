import { request } from "node:https";
import type { Credentials } from "./keys.ts";

export interface ApiAnswer {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly body: string;
}

export interface ApiQuestion {
  readonly method?: string;
  readonly contentType?: string;
  readonly body?: string;
}

const timeoutMs = 5000;

/** One request to an API server, on a connection of its own. An API server that can't be reached is an answer too. */
export function ask(url: string, credentials: Credentials, question: ApiQuestion = {}): Promise<ApiAnswer> {
  const { method = "GET", contentType, body } = question;
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        method,
        headers: contentType === undefined ? {} : { "content-type": contentType },
        ca: credentials.caPem,
        cert: credentials.clientCertificate,
        key: credentials.clientKey,
        agent: false,
        timeout: timeoutMs,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on("error", () => resolve({ status: 0, body: "" }));
      },
    );
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve({ status: 0, body: "" }));
    call.end(body);
  });
}
