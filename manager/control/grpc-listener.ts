import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Log } from "#runtime/log";

type GrpcCall = ConnectRouter["handlers"][number];

/**
 * Answers HTTP/2 requests with one gRPC call. In place of the library's own adapter, which lets a request whose
 * authority is absent or no valid one throw out of the event, ending the process, and which writes to the console.
 */
export function grpcListener(call: GrpcCall, log: Log) {
  return (request: Http2ServerRequest, response: Http2ServerResponse): void => {
    // Nothing more is wanted once the answer is out; without a reset the proxy could leave its half open for ever.
    response.once("finish", () => request.stream.close(constants.NGHTTP2_NO_ERROR));
    void answer(request, response, call).catch((error: unknown) => {
      log.debug("a control stream broke off", { error });
      request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  };
}

async function answer(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  call: GrpcCall,
): Promise<void> {
  if (request.url !== call.requestPath) {
    response.writeHead(404).end();
    return;
  }
  const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
  await universalResponseToNodeResponse(await call(universal), response);
}
