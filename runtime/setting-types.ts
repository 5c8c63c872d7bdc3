/**
 * The kinds of settings that flags, environment and files can carry. A parser gets the text as the user wrote it and
 * answers the value, or says what is allowed instead.
 */
export type ParsedSetting<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly expected: string };

export interface Setting<T> {
  readonly parse: (text: string) => ParsedSetting<T>;
  /** Stands for the value in the help text: "HOST:PORT". Empty for a switch, which needs no value. */
  readonly placeholder: string;
  /** One sentence for the help text, without a full stop. */
  readonly description: string;
  /** Environment variable; without it the name is CTRLMESH_ and the flag in capitals. */
  readonly env?: string | undefined;
  /** How the default looks in the help text; undefined when there is none. */
  readonly defaultText?: string | undefined;
  readonly default?: T;
  /** Without a value and without a default the setting is `undefined` instead of an error. */
  readonly optional?: boolean;
  /** May be given several times; the values are joined by commas. */
  readonly repeatable?: boolean;
  /** One letter: "n" is -n. */
  readonly short?: string;
  /** Given without a flag, in the order of the table. Neither environment nor file can give it. */
  readonly positional?: boolean;
}

interface OptionalCommon {
  readonly description: string;
  readonly env?: string;
  readonly short?: string;
  readonly positional?: boolean;
}

interface Common<T> extends OptionalCommon {
  readonly default?: T;
}

const ok = <T>(value: T): ParsedSetting<T> => ({ ok: true, value });
const refused = (expected: string): ParsedSetting<never> => ({ ok: false, expected });

function setting<T>(
  common: Common<T>,
  placeholder: string,
  parse: Setting<T>["parse"],
  show: (value: T) => string = String,
): Setting<T> {
  const defaultText = common.default === undefined ? undefined : show(common.default);
  return { ...common, placeholder, parse, defaultText };
}

/** A text of at least one character without control characters. `placeholder` names what it is: "NAME", "FILE". */
export function text(common: Common<string>, placeholder = "TEXT"): Setting<string> {
  return setting(common, placeholder, parseText);
}

/** The same, absent when nobody gives it. */
export function optionalText(common: OptionalCommon, placeholder = "TEXT"): Setting<string | undefined> {
  return { ...setting<string | undefined>(common, placeholder, parseText), optional: true };
}

function parseText(given: string): ParsedSetting<string> {
  for (const character of given) {
    const point = character.codePointAt(0) ?? 0;
    if (point < 0x20 || point === 0x7f) return refused("a text without control characters");
  }
  return given === "" ? refused("a text of at least one character") : ok(given);
}

/** A decimal integer within [min, max]. */
export function integer(
  common: Common<number> & { readonly min: number; readonly max: number },
): Setting<number> {
  const { min, max, ...rest } = common;
  return setting(rest, "NUMBER", (given) => {
    const value = /^-?\d{1,15}$/.test(given) ? Number(given) : Number.NaN;
    return value >= min && value <= max ? ok(value) : refused(`a whole number from ${min} to ${max}`);
  });
}

/** A TCP port. Port 0 takes any free one and is there for tests. */
export function port(common: Common<number>): Setting<number> {
  return { ...integer({ ...common, min: 0, max: 65_535 }), placeholder: "PORT" };
}

/** A switch: `--name`, `--name=true` or `--name=false`. */
export function toggle(common: Common<boolean>): Setting<boolean> {
  return setting(common, "", (given) => {
    if (given === "true" || given === "") return ok(true);
    return given === "false" ? ok(false) : refused("true or false");
  });
}

/** One of the given words. */
export function oneOf<const T extends string>(words: readonly T[], common: Common<NoInfer<T>>): Setting<T> {
  return setting<T>(common, words.join("|"), (given) => {
    const value = words.find((word) => word === given);
    return value === undefined ? refused(`one of ${words.join(", ")}`) : ok(value);
  });
}

/** Words separated by commas; empty text is the empty list. May be given several times. */
export function list(common: Common<readonly string[]>, placeholder = "A,B"): Setting<readonly string[]> {
  const parse = (given: string) => {
    const words = given.split(",").map((word) => word.trim());
    if (words.length === 1 && words[0] === "") return ok([]);
    return words.includes("") ? refused("words separated by single commas") : ok(words);
  };
  return {
    ...setting<readonly string[]>(common, placeholder, parse, (words) => words.join(",")),
    repeatable: true,
  };
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it ("1m30s", "250ms"); the value is in milliseconds, as are the bounds and the default. */
export function duration(
  common: Common<number> & { readonly minMs: number; readonly maxMs: number },
): Setting<number> {
  const { minMs, maxMs, ...rest } = common;
  const expected = `a duration from ${printDuration(minMs)} to ${printDuration(maxMs)}, such as 500ms, 10s or 1m30s`;
  const parse = (given: string) => {
    const value = parseDurationMs(given);
    return value !== undefined && value >= minMs && value <= maxMs ? ok(value) : refused(expected);
  };
  return setting(rest, "DURATION", parse, printDuration);
}

function parseDurationMs(given: string): number | undefined {
  if (given === "0") return 0;
  if (!/^(?:\d{1,9}(?:\.\d{1,6})?(?:ms|s|m|h))+$/.test(given)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of given.matchAll(/([\d.]+)(ms|s|m|h)/g)) {
    totalMs += Number(amount) * (unitMs[unit ?? ""] ?? Number.NaN);
  }
  return totalMs;
}

function printDuration(ms: number): string {
  for (const unit of ["h", "m", "s"] as const) {
    const size = unitMs[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return ms === 0 ? "0s" : `${ms}ms`;
}

/** Where to dial or listen. */
export interface HostAndPort {
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** "host:port", "1.2.3.4:port" or "[v6]:port"; the port is 1 to 65535. */
export function address(common: Common<HostAndPort>): Setting<HostAndPort> {
  return setting(common, "HOST:PORT", parseAddressSetting, printAddress);
}

/** The same, absent when nobody gives it. */
export function optionalAddress(common: OptionalCommon): Setting<HostAndPort | undefined> {
  return { ...setting<HostAndPort | undefined>(common, "HOST:PORT", parseAddressSetting), optional: true };
}

function parseAddressSetting(given: string): ParsedSetting<HostAndPort> {
  const value = parseAddress(given);
  return value === undefined ? refused("HOST:PORT with a port from 1 to 65535") : ok(value);
}

/** Splits "host:port"; undefined when it is none. */
export function parseAddress(given: string): HostAndPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(given);
  const host = match?.[1] ?? match?.[2];
  const number = Number(match?.[3]);
  return host === undefined || !(number >= 1 && number <= 65_535) ? undefined : { host, port: number };
}

/** The text form of an address: IPv6 in brackets. */
export function printAddress({ host, port: number }: HostAndPort): string {
  return host.includes(":") ? `[${host}]:${number}` : `${host}:${number}`;
}
