import { readFileSync } from "node:fs";
import { createServer } from "node:https";

/**
 * The admission webhook of an operator that knows nothing of ctrlmesh: allows everything, and says in a warning which
 * pod was asked. Run in a pod with its certificate at /certs.
 */
const { POD_NAME: pod = "", LISTEN_HOST: host } = process.env;

const certificate = { cert: readFileSync("/certs/tls.crt"), key: readFileSync("/certs/tls.key") };
createServer(certificate, (request, response) => {
  request.setEncoding("utf8");
  let body = "";
  request.on("data", (text: string) => {
    body += text;
  });
  request.on("end", () => {
    const review = JSON.parse(body) as { apiVersion: string; kind: string; request: { uid: string } };
    const answer = { uid: review.request.uid, allowed: true, warnings: [pod] };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ apiVersion: review.apiVersion, kind: review.kind, response: answer }));
  });
}).listen(9443, host);
