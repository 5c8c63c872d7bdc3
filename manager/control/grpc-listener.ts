import { constants, type Http2ServerRequest, type Http2ServerResponse, type Http2Stream } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";

const lingerMs = 1_000;

type GrpcCall = ConnectRouter["handlers"][number];

/**
 * Answers HTTP/2 requests with one gRPC call. In place of the library's own adapter, which lets a request whose
 * authority is absent or no valid one throw out of the event, ending the process, and which writes to the console.
 */
export function grpcListener(call: GrpcCall, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
  return (request: Http2ServerRequest, response: Http2ServerResponse): void => {
    const { stream } = request;
    stream.once("finish", () => endOtherHalf(stream, clock));
    void answer(request, response, call).catch((error: unknown) => {
      log.debug("a control stream broke off", { error });
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  };
}

/** Else a proxy that has its answer could keep its half open for ever. Not at once: trailers follow the body. */
function endOtherHalf(stream: Http2Stream, clock: Clock): void {
  const limit = clock.timer(lingerMs, () => stream.close(constants.NGHTTP2_NO_ERROR));
  stream.once("close", () => limit[Symbol.dispose]());
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
