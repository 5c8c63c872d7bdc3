import { arrayOf, copyOf, isEqual, isObject, type JsonObject, setField, stringOf } from "../json.ts";

/** Why a patch cannot be applied; the caller makes the answer. */
export class PatchError extends Error {
  override readonly name = "PatchError";
}

/**
 * RFC 6902, but "replace" also sets a field that an object does not have, as the API server's library does. The
 * document is not changed.
 *
 * @throws PatchError
 */
export function applyJsonPatch(document: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw new PatchError("a JSON patch is a list of operations");
  let current = copyOf(document);
  for (const operation of arrayOf(operations)) {
    if (!isObject(operation)) throw new PatchError("an operation of a JSON patch is an object");
    current = applyOperation(current, operation);
  }
  return current;
}

function applyOperation(document: unknown, operation: JsonObject): unknown {
  const path = pointerOf(operation.path);
  switch (operation.op) {
    case "add":
      return put(document, path, newValueOf(operation), "add");
    case "replace":
      return put(document, path, newValueOf(operation), "replace");
    case "remove":
      return remove(document, path);
    case "test":
      if (!isEqual(read(document, path), operation.value))
        throw new PatchError(`testing value ${stringOf(operation.path)} failed`);
      return document;
    case "copy":
      return put(document, path, copyOf(read(document, pointerOf(operation.from))), "add");
    case "move": {
      const from = pointerOf(operation.from);
      const value = read(document, from);
      return put(remove(document, from), path, value, "add");
    }
    default:
      throw new PatchError(`Unexpected kind: ${JSON.stringify(operation.op)}`);
  }
}

function newValueOf(operation: JsonObject): unknown {
  if (!Object.hasOwn(operation, "value")) throw new PatchError("an operation has no value");
  return copyOf(operation.value);
}

/** RFC 6901. */
function pointerOf(text: unknown): string[] {
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/")))
    throw new PatchError(`${JSON.stringify(text)} is no JSON pointer`);
  return text
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function read(document: unknown, path: readonly string[]): unknown {
  let current = document;
  for (const part of path) current = child(current, part, path);
  return current;
}

function child(parent: unknown, part: string, path: readonly string[]): unknown {
  if (Array.isArray(parent)) return parent[indexOf(parent, part, path, parent.length - 1)];
  if (isObject(parent) && Object.hasOwn(parent, part)) return parent[part];
  throw new PatchError(`no value at /${path.join("/")}`);
}

function indexOf(list: readonly unknown[], part: string, path: readonly string[], last: number): number {
  const index = /^(?:0|[1-9]\d{0,8})$/.test(part) ? Number(part) : -1;
  if (index < 0 || index > last)
    throw new PatchError(`index ${part} of /${path.join("/")} is outside a list of ${list.length}`);
  return index;
}

function put(document: unknown, path: readonly string[], value: unknown, mode: "add" | "replace"): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = read(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    if (mode === "replace") parent[indexOf(parent, last, path, parent.length - 1)] = value;
    else if (last === "-") parent.push(value);
    else parent.splice(indexOf(parent, last, path, parent.length), 0, value);
  } else if (isObject(parent)) setField(parent, last, value);
  else throw new PatchError(`no object or list at /${path.slice(0, -1).join("/")}`);
  return document;
}

function remove(document: unknown, path: readonly string[]): unknown {
  const last = path.at(-1);
  if (last === undefined) throw new PatchError("the whole document cannot be removed");
  const parent = read(document, path.slice(0, -1));
  child(parent, last, path);
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isObject(parent)) delete parent[last];
  return document;
}
