import { Socket } from "node:net";

/** Calls back at each request that a client sends to this process over HTTP/1.1, whoever reads it. */
export function onRequest(callback: () => void): void {
  const emit = Socket.prototype.emit;
  Socket.prototype.emit = function (this: Socket, event: string | symbol, ...values: unknown[]): boolean {
    if (event === "data" && isRequest(values[0])) callback();
    return Reflect.apply(emit, this, [event, ...values]);
  };
}

function isRequest(bytes: unknown): boolean {
  return Buffer.isBuffer(bytes) && /^(GET|POST|PATCH|DELETE) \/a/.test(bytes.toString("latin1", 0, 16));
}
