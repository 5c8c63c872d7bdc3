import { createServer, type Server } from "node:https";
import { type Dispatcher, Pool } from "undici";
import { nodeProxySettings } from "./node-proxy-settings.ts";

/** node:https in front, undici's dispatch behind: the fastest way with undici, without streams of its own. */

const { port, upstreamPort, cert, key, ca } = nodeProxySettings(process.env);
const pool = new Pool(`https://127.0.0.1:${upstreamPort}`, {
  connect: { ca },
  // Watches are silent for minutes.
  bodyTimeout: 0,
  headersTimeout: 0,
});
/** RFC 9110 7.6.1 */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

const server: Server = createServer({ cert, key, noDelay: true }, (request, response) => {
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !hopByHop.has(name)));
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  let running: Dispatcher.DispatchController | undefined;
  response.once("close", () => {
    if (!response.writableFinished) running?.abort(new Error("the client went away"));
  });
  pool.dispatch(
    {
      path: request.url ?? "/",
      method: request.method ?? "GET",
      headers,
      body: hasBody ? request : null,
    },
    {
      onRequestStart: (controller) => {
        running = controller;
      },
      onResponseStart: (controller, status, answerHeaders) => {
        for (const [name, value] of Object.entries(answerHeaders)) {
          if (value !== undefined && !hopByHop.has(name)) response.setHeader(name, value);
        }
        response.writeHead(status);
        response.flushHeaders();
        response.on("drain", () => controller.resume());
      },
      onResponseData: (controller, chunk) => {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  );
});
server.listen(port, "127.0.0.1");
