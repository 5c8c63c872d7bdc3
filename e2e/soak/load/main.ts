import { Load } from "./load.ts";
import type { Done, NumberedOrder, Order } from "./messages.ts";
import { Tally } from "./tally.ts";
import { Views } from "./views.ts";

/** The load as a process of its own, under the soak's orders: what it costs is not in the sampler's way. */

/** kube-apiserver says it is ready some time before it answers as ever. */
const outageGraceMs = 8_000;

const views = new Views();
let load: Load | undefined;

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "start":
      load = new Load(order.settings, views);
      await load.start();
      break;
    case "view sent":
      views.sent(order.view);
      break;
    case "view acked":
      views.acked();
      break;
    case "outage begins":
      views.outageBegins(order.agoMs);
      break;
    case "outage ends":
      views.outageEnds(outageGraceMs);
      break;
    case "token":
      load?.useToken(order.token);
      break;
    case "rest":
      await load?.rest();
      break;
    case "go on":
      load?.goOn();
      break;
    case "report":
      break;
  }
}

process.on("message", ({ number, order }: NumberedOrder) => {
  void obey(order).then(() => {
    const done: Done = { number, report: load?.report() ?? new Tally().report() };
    process.send?.(done);
  });
});
process.on("disconnect", () => process.exit());
