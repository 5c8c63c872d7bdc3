import { request } from "node:https";
import type { ControlPlane } from "../cluster/control-plane.ts";

/** Whether the API server says that it is ready, asked without the proxy. */
export function answersWithin({ url, caPem }: ControlPlane, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(withinMs);
    const call = request(`${url}/readyz`, { ca: caPem, agent: false, signal }, (response) => {
      response.on("error", () => undefined).resume();
      resolve(response.statusCode === 200);
    });
    call.on("error", () => resolve(false));
    call.end();
  });
}
