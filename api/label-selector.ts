import { CtrlmeshError } from "./errors.ts";

/**
 * Label selectors in both forms: the structured LabelSelector of resources and the text of the query
 * parameter. Grammar and meaning are those of apimachinery's `labels.Parse` and `LabelSelectorAsSelector`.
 */

export type SelectorOperator = "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";

/** One condition on one key. A selector is the conjunction of its requirements. */
export interface Requirement {
  readonly key: string;
  readonly operator: SelectorOperator;
  /** At least one for In and NotIn, exactly one (an integer) for Gt and Lt, none for the others. */
  readonly values: readonly string[];
}

/** metav1.LabelSelector. `null` members are accepted as absent, since YAML with an empty key carries them. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?:
    | readonly {
        readonly key: string;
        readonly operator: string;
        readonly values?: readonly string[] | null;
      }[]
    | null;
}

const namePart = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const dnsLabel = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Whether a text is a label key: optional DNS subdomain of up to 253 characters and "/", then a name of up to 63. */
export function isLabelKey(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash < 0) return namePart.test(text);
  const prefix = text.slice(0, slash);
  return (
    prefix.length <= 253 &&
    prefix.split(".").every((part) => dnsLabel.test(part)) &&
    namePart.test(text.slice(slash + 1))
  );
}

/** Whether a text is a label value: empty, or up to 63 characters of [A-Za-z0-9._-] with alphanumeric ends. */
export function isLabelValue(text: string): boolean {
  return text === "" || namePart.test(text);
}

/**
 * Checks and flattens a structured selector. An absent or empty one gives no requirement, which matches
 * everything.
 *
 * @param where field path for error messages
 * @throws INVALID_LABEL_SELECTOR
 */
export function requirementsOf(
  selector: LabelSelector | null | undefined,
  where = "selector",
): Requirement[] {
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    requirements.push(checked({ key, operator: "In", values: [value] }, `${where}.matchLabels`));
  }
  for (const [index, expression] of (selector?.matchExpressions ?? []).entries()) {
    const path = `${where}.matchExpressions[${index}]`;
    const { key, operator, values } = expression;
    if (operator !== "In" && operator !== "NotIn" && operator !== "Exists" && operator !== "DoesNotExist") {
      throw invalid(path, `operator "${operator}" is unknown`, "use In, NotIn, Exists or DoesNotExist");
    }
    requirements.push(checked({ key, operator, values: values ?? [] }, path));
  }
  return requirements;
}

/** Whether labels satisfy every requirement. */
export function selectorMatches(
  requirements: readonly Requirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every((requirement) =>
    valueMatches(requirement, Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined),
  );
}

/** Whether one value (undefined: the key is absent) satisfies a requirement on its key. */
export function valueMatches({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
    case "Lt": {
      if (value === undefined || !integer.test(value)) return false;
      const [left, right] = [BigInt(value), BigInt(values[0] ?? "0")];
      return operator === "Gt" ? left > right : left < right;
    }
  }
}

const integer = /^[+-]?[0-9]+$/;

/** Text form, requirements in the given order. `parseSelector(printSelector(x))` has the same meaning as x. */
export function printSelector(requirements: readonly Requirement[]): string {
  return requirements.map(printRequirement).join(",");
}

function printRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case "In":
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(",")})`;
    case "NotIn":
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(",")})`;
    case "Exists":
      return key;
    case "DoesNotExist":
      return `!${key}`;
    case "Gt":
      return `${key}>${values[0]}`;
    case "Lt":
      return `${key}<${values[0]}`;
  }
}

/**
 * Parses the text of a `labelSelector` parameter.
 *
 * @throws INVALID_LABEL_SELECTOR with the column
 */
export function parseSelector(text: string): Requirement[] {
  const scanner = new Scanner(text);
  const requirements: Requirement[] = [];
  if (scanner.atEnd()) return requirements;
  for (;;) {
    requirements.push(checked(parseRequirement(scanner), `column ${scanner.column}`));
    if (scanner.atEnd()) return requirements;
    scanner.expect(",");
  }
}

function parseRequirement(scanner: Scanner): Requirement {
  if (scanner.take("!")) return { key: scanner.word(), operator: "DoesNotExist", values: [] };
  const key = scanner.word();
  if (scanner.atEnd() || scanner.peek(",")) return { key, operator: "Exists", values: [] };
  if (scanner.take("!=")) return { key, operator: "NotIn", values: [scanner.value()] };
  if (scanner.take("==") || scanner.take("=")) return { key, operator: "In", values: [scanner.value()] };
  if (scanner.take(">")) return { key, operator: "Gt", values: [scanner.value()] };
  if (scanner.take("<")) return { key, operator: "Lt", values: [scanner.value()] };
  const word = scanner.word();
  if (word !== "in" && word !== "notin")
    throw invalid(`column ${scanner.column}`, `expected an operator, found "${word}"`);
  return { key, operator: word === "in" ? "In" : "NotIn", values: scanner.list() };
}

/** Tokens of the selector grammar; white space between them is skipped. */
class Scanner {
  readonly #text: string;
  column = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #skipSpace(): void {
    while (" \t\r\n".includes(this.#text.charAt(this.column)) && this.column < this.#text.length)
      this.column++;
  }

  atEnd(): boolean {
    this.#skipSpace();
    return this.column >= this.#text.length;
  }

  peek(symbol: string): boolean {
    this.#skipSpace();
    return this.#text.startsWith(symbol, this.column);
  }

  take(symbol: string): boolean {
    if (!this.peek(symbol)) return false;
    this.column += symbol.length;
    return true;
  }

  expect(symbol: string): void {
    if (!this.take(symbol)) {
      throw invalid(
        `column ${this.column}`,
        `expected "${symbol}", found "${this.#text.slice(this.column, this.column + 10)}"`,
      );
    }
  }

  /** A run of characters that are neither space nor symbol; not empty. */
  word(): string {
    const word = this.value();
    if (word === "") throw invalid(`column ${this.column}`, "expected a key or a word");
    return word;
  }

  /** Like word, but may be empty. */
  value(): string {
    this.#skipSpace();
    const start = this.column;
    while (this.column < this.#text.length && !"=!<>(), \t\r\n".includes(this.#text.charAt(this.column)))
      this.column++;
    return this.#text.slice(start, this.column);
  }

  list(): string[] {
    this.expect("(");
    const values = [this.value()];
    while (this.take(",")) values.push(this.value());
    this.expect(")");
    return values;
  }
}

function checked(requirement: Requirement, where: string): Requirement {
  const { key, operator, values } = requirement;
  if (!isLabelKey(key)) throw invalid(where, `"${key}" is no label key`);
  const problem = valuesProblem(operator, values);
  if (problem !== undefined) throw invalid(where, problem);
  return requirement;
}

function valuesProblem(operator: SelectorOperator, values: readonly string[]): string | undefined {
  const bad = values.find((value) => typeof value !== "string" || !isLabelValue(value));
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) return `operator ${operator} needs at least one value`;
    return bad === undefined ? undefined : `"${bad}" is no label value`;
  }
  if (operator === "Gt" || operator === "Lt") {
    return values.length === 1 && integer.test(values[0] ?? "")
      ? undefined
      : `operator ${operator} needs one integer`;
  }
  return values.length === 0 ? undefined : `operator ${operator} takes no values`;
}

function invalid(where: string, what: string, hint?: string): CtrlmeshError {
  return new CtrlmeshError("INVALID_LABEL_SELECTOR", {
    what,
    where,
    ...(hint === undefined ? {} : { hint }),
  });
}
