import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onRequest } from "./on-request.ts";

/** Loaded into the proxy (`--preload`), it keeps one more connection for each 100 requests, to show that the judge finds it. */

const requestsPerConnection = 100;
const kept: Socket[] = [];
const server = createServer((socket) => kept.push(socket)).listen(0, "127.0.0.1");
let requests = 0;

function portOf(address: string | AddressInfo | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}

onRequest(() => {
  requests++;
  if (requests % requestsPerConnection === 0) kept.push(connect(portOf(server.address()), "127.0.0.1"));
});
