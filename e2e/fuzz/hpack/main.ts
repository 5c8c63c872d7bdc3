import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { GoReference, withoutGo } from "./go-reference.ts";
import { Subject } from "./subject.ts";

/** `node e2e/fuzz/hpack/main.ts --inputs N --seed S`: HPACK and frames against golang.org/x/net. */
const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "20000" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
const missing = withoutGo();
if (missing !== undefined) {
  console.error(missing);
  process.exitCode = 1;
} else {
  const inputs = Number(values.inputs);
  const seed = Number(values.seed);
  const start = performance.now();
  const subject = await Subject.load(new URL("../../../proxy/http2/", import.meta.url));
  await using go = await GoReference.start();
  const { accepted, lenient, differences } = await fuzz({ subject, go, inputs, seed });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`seed ${seed}: ${inputs} inputs in ${seconds} s, ${accepted} accepted by the reference`);
  for (const [reason, count] of lenient) console.log(`${count} x ${reason}`);
  for (const difference of differences) console.log(`DIFFERENCE ${difference}`);
  if (differences.length > 0) process.exitCode = 1;
}
