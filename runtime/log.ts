import { writeSync } from "node:fs";
import type { Clock } from "./clock.ts";

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

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["json", "text"] as const;
export type LogFormat = (typeof logFormats)[number];

interface LogOptions {
  /** Lines below this level are not written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Which part of the program speaks: "proxy", "manager". */
  readonly part: string;
  readonly clock: Clock;
  /** Takes one line, newline included. Must not throw. */
  readonly write: (line: string) => void;
}

/** A log that writes one line per call. Values are bounded in depth and length; secrets by name are hidden. */
export function createLog(options: LogOptions, carried: LogFields = {}): Log {
  const lowest = logLevels.indexOf(options.level);
  const at = (level: LogLevel) => {
    if (logLevels.indexOf(level) < lowest) return () => {};
    return (message: string, fields?: LogFields) => {
      const time = new Date(options.clock.now()).toISOString();
      const facts = printable({ ...carried, ...fields }, 0);
      options.write(print[options.format]({ time, level, part: options.part, message }, facts));
    };
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => createLog(options, { ...carried, ...fields }),
  };
}

/** A log that drops everything; for tests and for code that is called without one. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};

/**
 * Writes to standard error and never throws: a log on a full disk or a closed pipe must not end the process, and
 * there is no better place to tell. Lines that could not be written are counted into the next one that can.
 */
export function standardErrorWriter(write: (text: string) => unknown = (text) => writeSync(2, text)) {
  let dropped = 0;
  return (line: string): void => {
    try {
      write(
        dropped === 0 ? line : `{"level":"warn","message":"log lines dropped","count":${dropped}}\n${line}`,
      );
      dropped = 0;
    } catch {
      dropped += 1;
    }
  };
}

interface LineHead {
  readonly time: string;
  readonly level: LogLevel;
  readonly part: string;
  readonly message: string;
}

type Printable =
  | string
  | number
  | boolean
  | null
  | readonly Printable[]
  | { readonly [name: string]: Printable };
type PrintableRecord = { readonly [name: string]: Printable };

const print: Readonly<Record<LogFormat, (head: LineHead, facts: PrintableRecord) => string>> = {
  // The head comes last, so that a field cannot pass for the line's own time, level or message.
  json: (head, facts) => `${JSON.stringify({ ...head, ...facts, ...head })}\n`,
  text: (head, facts) => {
    let line = `${head.time} ${head.level.toUpperCase().padEnd(5)} ${head.part}: ${head.message}`;
    for (const [name, value] of Object.entries(facts)) {
      const plain = typeof value === "string" && /^[\w.:/@*-]+$/.test(value);
      line += ` ${name}=${plain ? value : JSON.stringify(value)}`;
    }
    return `${line}\n`;
  },
};

const depthLimit = 4;
const entriesLimit = 50;
const textLimitCharacters = 4096;
const secretName = /(?:^|[a-z0-9_-])(?:token|authorization|key|secret|password)$/i;

function printable(fields: Readonly<Record<string, unknown>>, depth: number): PrintableRecord {
  const result: Record<string, Printable> = {};
  for (const [name, value] of Object.entries(fields).slice(0, entriesLimit)) {
    if (value === undefined) continue;
    result[name] = secretName.test(name) && value !== null ? "[redacted]" : printableValue(value, depth);
  }
  return result;
}

function printableValue(value: unknown, depth: number): Printable {
  switch (typeof value) {
    case "string":
      return value.length > textLimitCharacters ? `${value.slice(0, textLimitCharacters)}...` : value;
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "object":
      return value === null ? null : printableObject(value, depth);
    default:
      return String(value);
  }
}

function printableObject(value: object, depth: number): Printable {
  if (value instanceof Error) return printableError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  if (depth >= depthLimit) return "...";
  if (Array.isArray(value))
    return value.slice(0, entriesLimit).map((entry) => printableValue(entry, depth + 1));
  return printable({ ...value }, depth + 1);
}

function printableError(error: Error, depth: number): Printable {
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const result: Record<string, Printable> = { message: printableValue(error.message, depth) };
  if (code !== undefined) result.code = code;
  // An error without a code is one that nobody expected: only there the stack says more than the message.
  else if (error.stack !== undefined) result.stack = printableValue(error.stack, depth);
  if (error.cause !== undefined && depth < depthLimit) result.cause = printableValue(error.cause, depth + 1);
  return result;
}
