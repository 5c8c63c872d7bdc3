import { Resolver } from "node:dns/promises";

/**
 * Run in a node's network: `dns-probe.ts NAME TIMEOUT_MS SERVER...` ends as soon as every server has answered for
 * that name, with exit code 1 and what they said instead when they do not in time.
 */
const [, , name = "", timeout = "0", ...servers] = process.argv;
const deadline = performance.now() + Number(timeout);
const pollMs = 50;

async function answers(server: string): Promise<void> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([server]);
  await resolver.resolve4(name);
}

for (;;) {
  const outcomes = await Promise.allSettled(servers.map(answers));
  const failed = outcomes.flatMap((outcome) =>
    outcome.status === "rejected" ? [String(outcome.reason)] : [],
  );
  if (failed.length === 0) break;
  if (performance.now() > deadline) {
    console.error(failed.join("; "));
    process.exitCode = 1;
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, pollMs));
}
