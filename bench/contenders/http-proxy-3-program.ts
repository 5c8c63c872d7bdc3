import { Agent } from "node:https";
import { createProxyServer } from "http-proxy-3";
import { nodeProxySettings } from "./node-proxy-settings.ts";

/** http-proxy-3 as its README shows it, with connections that stay. */

const { port, upstreamPort, cert, key, ca } = nodeProxySettings(process.env);
const proxy = createProxyServer({
  target: { protocol: "https:", host: "127.0.0.1", port: upstreamPort, ca },
  ssl: { cert, key },
  agent: new Agent({ keepAlive: true, ca }),
  secure: true,
});
proxy.on("error", (_error, _request, response) => void response.destroy());
proxy.listen(port, "127.0.0.1");
