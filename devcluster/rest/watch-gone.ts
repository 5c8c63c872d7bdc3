import { expired } from "../status-error.ts";

/** An ERROR event with a 410 Status: the client has to list again. */
export function gone(message: string): string {
  return `{"type":"ERROR","object":${JSON.stringify(expired(message).body())}}\n`;
}
