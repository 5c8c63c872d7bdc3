import { expired, type StatusError } from "../status-error.ts";

/** An ERROR event: what went wrong in an open watch. */
export function errorFrame(error: StatusError): string {
  return `{"type":"ERROR","object":${JSON.stringify(error.body())}}\n`;
}

/** An ERROR event with a 410 Status: the client has to list again. */
export function gone(message: string): string {
  return errorFrame(expired(message));
}
