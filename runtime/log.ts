/**
 * Structured logs: a constant message, facts as fields. Field names are the same everywhere: `shard`,
 * `revision`, `term`, `pod`, `namespace`, `group`, `resource`, `code`, `reason`, `durationMs`. No secret, token or
 * object body ever becomes a field.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** `error` in the fields is expanded to code, message and causes. */
  error(message: string, fields?: LogFields): void;
  /** A log whose lines carry these fields too. */
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, unknown>>;
