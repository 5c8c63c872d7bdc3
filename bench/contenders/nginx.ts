import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContenderProcess, freePort } from "../contender-process.ts";
import { type Contender, withoutProgram } from "./contender.ts";

/** One process; HTTP/1.1 upstream, which is all it speaks. Unbuffered, or watch events would wait. */
export const nginx: Contender = {
  name: "nginx",
  rewrites: false,
  protocols: ["http1", "http2"],
  leftOut: () => withoutProgram("nginx"),
  start: async (bed, { protocol }) => {
    const port = await freePort();
    const folder = bed.makeFolder("nginx");
    const file = join(folder, "nginx.conf");
    const listen = `127.0.0.1:${port} ssl${protocol === "http2" ? " http2" : ""}`;
    const ciphers = "Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
    writeFileSync(
      file,
      `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  http2_max_concurrent_streams 1000;
  upstream apiserver {
    server 127.0.0.1:${bed.upstreamPort};
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen ${listen};
    ssl_certificate ${bed.path("tls.crt")};
    ssl_certificate_key ${bed.path("tls.key")};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command ${ciphers};
    location / {
      proxy_pass https://apiserver;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ${bed.path("ca.crt")};
      proxy_ssl_name localhost;
      proxy_ssl_conf_command ${ciphers};
    }
  }
}
`,
    );
    const argv = ["nginx", "-c", file, "-p", folder, "-e", "stderr"];
    return ContenderProcess.start({ argv, port });
  },
};
