import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContenderProcess, freePort } from "../contender-process.ts";
import { type Contender, withoutProgram } from "./contender.ts";

/** One thread, TLS on both sides, the same protocol on both, AES-128 first as everybody else here. */
export const haproxy: Contender = {
  name: "haproxy",
  rewrites: false,
  protocols: ["http1", "http2"],
  leftOut: () => withoutProgram("haproxy"),
  start: async (bed, { protocol }) => {
    const port = await freePort();
    const file = join(bed.makeFolder("haproxy"), "haproxy.cfg");
    const alpn = protocol === "http2" ? "h2" : "http/1.1";
    const ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 4096
  ssl-default-bind-ciphersuites ${ciphers}
  ssl-default-server-ciphersuites ${ciphers}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend operator
  bind 127.0.0.1:${port} ssl crt ${bed.path("tls.pem")} alpn ${alpn}
  default_backend apiserver
backend apiserver
  server one 127.0.0.1:${bed.upstreamPort} ssl verify required ca-file ${bed.path("ca.crt")} alpn ${alpn}
`,
    );
    return ContenderProcess.start({ argv: ["haproxy", "-db", "-f", file], port });
  },
};
