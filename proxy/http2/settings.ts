import { defaultHeaderTableSize, Setting } from "./constants.ts";
import { readSettings } from "./frame-payload.ts";
import { settingsFrame } from "./frame-writer.ts";

/** A SETTINGS frame on its way to the other side. */
export interface PassedSettings {
  /** What it says after all, by setting. */
  readonly values: ReadonlyMap<number, number>;
  readonly frame: Buffer;
}

/**
 * The client's settings for the API server. The table for response fields is set to nothing: then a block means the
 * same whatever came before it, so that one can be left out, and one of ours put in between. And nothing may be
 * pushed.
 *
 * @throws Http2ConnectionError
 */
export function settingsForUpstream(payload: Buffer, start: number, end: number): PassedSettings {
  const values = new Map(readSettings(payload, start, end));
  values.set(Setting.HEADER_TABLE_SIZE, 0);
  values.set(Setting.ENABLE_PUSH, 0);
  return { values, frame: settingsFrame([...values]) };
}

/**
 * The API server's settings for the client. The table for request fields, which is the proxy's, is bounded; and
 * nothing may be tunnelled through a stream (RFC 8441), which would go round every limit.
 *
 * @throws Http2ConnectionError
 */
export function settingsForClient(payload: Buffer, start: number, end: number): PassedSettings {
  const values = new Map(readSettings(payload, start, end));
  values.delete(Setting.ENABLE_CONNECT_PROTOCOL);
  const tableSize = values.get(Setting.HEADER_TABLE_SIZE);
  if (tableSize !== undefined) {
    values.set(Setting.HEADER_TABLE_SIZE, Math.min(tableSize, defaultHeaderTableSize));
  }
  return { values, frame: settingsFrame([...values]) };
}
