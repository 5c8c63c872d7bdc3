import { parseArgs } from "node:util";
import { fuzz } from "./fuzzer.ts";
import { GoReference, withoutGo } from "./go-reference.ts";
import { loadSubject } from "./subject.ts";

/**
 * `node e2e/fuzz/http1/main.ts [--inputs N] [--from N] [--seed S] [--minutes M] [-o json]`: holds the proxy's HTTP/1.1
 * parser to Go's net/http and to llhttp. Progress and findings on stderr, the summary on stdout; exit code 1 on a finding, 2
 * when it can't run.
 */
const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "50000" },
    from: { type: "string", default: "0" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    minutes: { type: "string" },
    output: { type: "string", short: "o", default: "text" },
  },
});

const reason = withoutGo();
if (reason !== undefined) {
  console.error(reason);
  process.exit(2);
}
const seed = Number(values.seed);
const inputs = Number(values.inputs);
console.error(`seed ${seed}, ${inputs} inputs`);

await using go = await GoReference.start();
const subject = await loadSubject(new URL("../../../proxy/http1/", import.meta.url));
const start = performance.now();
let told = start;
const summary = await fuzz({
  subject,
  go,
  seed,
  inputs,
  from: Number(values.from),
  found: ({ kind, reference, what, index, text, hex }) =>
    console.error(`${kind} (${reference ?? "ours"}), input ${index}: ${what}\n  ${text}\n  ${hex}`),
  ...(values.minutes === undefined ? {} : { limitMs: Number(values.minutes) * 60_000 }),
  progress: (done, findings) => {
    const now = performance.now();
    if (now - told < 5000) return;
    told = now;
    const perSecond = Math.round((done * 1000) / (now - start));
    console.error(`${done} inputs, ${perSecond}/s, ${findings} findings`);
  },
});

if (values.output === "json") console.log(JSON.stringify(summary, undefined, 2));
else {
  const { accepted } = summary;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  console.log(
    `seed ${summary.seed}: ${summary.inputs} inputs in ${summary.seconds.toFixed(1)} s, ${summary.findings.length} findings; ` +
      `accepted by a reference ${percent(accepted.anyReference)}, Go ${percent(accepted.go)}, llhttp ${percent(accepted.llhttp)}, us ${percent(accepted.us)}`,
  );
}
process.exitCode = summary.findings.length > 0 ? 1 : 0;
