import { once } from "node:events";
import { errorCodes, toCtrlmeshError } from "#api/errors";
import { type RunningPlane, recordPlane, runningPlanes, startInBackground, stopPlane } from "./background.ts";
import { buildControlPlane, buildNodes } from "./build.ts";
import { type Command, parseCommand, usage } from "./command-line.ts";
import { startControlPlane } from "./control-plane.ts";
import * as clusters from "./node/commands.ts";
import { nodeImages } from "./node/images.ts";
import { installPackages, missingPackages } from "./node/requirements.ts";
import { kubernetesVersion, missingBinaries, missingNodeBinaries, testedVersions } from "./versions.ts";

async function run(command: Command): Promise<number> {
  switch (command.name) {
    case "help":
      console.log(usage);
      return 0;
    case "build":
      return build(command);
    case "missing":
      return missing(command);
    case "start":
      return await start(command);
    case "stop":
      return await stop(command);
    case "list":
      return await list(command);
    case "up":
      return await clusters.up(command);
    case "start NAME":
      return await clusters.start(command);
    case "stop NAME":
      return await clusters.stop(command);
    case "load":
      return await clusters.load(command);
    case "kubectl":
      return await clusters.runKubectl(command);
    case "down":
      return await clusters.down(command);
  }
}

function build(command: Command): number {
  const { versions, output, nodes } = withDefault(command);
  const say = (line: string): void => console.error(line);
  if (nodes) installPackages(say);
  buildControlPlane(versions, say);
  if (nodes) {
    buildNodes(versions, say);
    nodeImages();
  }
  if (output === "json") console.log(JSON.stringify({ versions }));
  return 0;
}

function missing(command: Command): number {
  const { versions, output, nodes } = withDefault(command);
  const ofNodes = nodes ? [...missingNodeBinaries(versions), ...missingPackages()] : [];
  const parts = [...missingBinaries(versions), ...ofNodes];
  if (output === "json") console.log(JSON.stringify({ missing: parts }));
  else for (const part of parts) console.log(part);
  return parts.length === 0 ? 0 : 1;
}

async function start(command: Command): Promise<number> {
  const { featureGates, apiServers, background } = command;
  const version = command.versions[0] ?? kubernetesVersion;
  if (background) {
    const gates = Object.entries(featureGates).map(([name, on]) => `--feature-gate=${name}=${on}`);
    const args = ["start", `--version=${version}`, `--api-servers=${apiServers}`, ...gates];
    print(command, [await startInBackground(args)]);
    return 0;
  }
  const interrupted = Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal)));
  await using plane = await startControlPlane({ version, featureGates, apiServers, controllerManager: true });
  using _record = recordPlane(plane);
  print(
    command,
    runningPlanes().filter(({ owner }) => owner.pid === process.pid),
  );
  await interrupted;
  return 0;
}

async function stop(command: Command): Promise<number> {
  const planes = runningPlanes().filter(
    ({ owner }) => command.pid === undefined || owner.pid === command.pid,
  );
  await Promise.all(planes.map(stopPlane));
  if (command.output === "json") console.log(JSON.stringify({ stopped: planes }));
  else console.error(planes.length === 1 ? "1 control plane ended" : `${planes.length} control planes ended`);
  return 0;
}

async function list({ output }: Command): Promise<number> {
  const running = runningPlanes();
  const summaries = await clusters.summaries();
  if (output === "json") console.log(JSON.stringify({ running, clusters: summaries }));
  else {
    for (const { version, urls, kubeconfig } of running) console.log(version, urls.join(","), kubeconfig);
    for (const summary of summaries) console.log(clusters.lineOf(summary));
  }
  return 0;
}

function print({ output }: Command, planes: readonly RunningPlane[]): void {
  if (output === "json") console.log(JSON.stringify(planes[0]));
  else for (const { kubeconfig } of planes) console.log(kubeconfig);
}

function withDefault(command: Command): Command {
  return command.versions.length > 0 ? command : { ...command, versions: testedVersions };
}

try {
  process.exitCode = await run(parseCommand(process.argv.slice(2)));
} catch (error) {
  const { code, message } = toCtrlmeshError(error);
  console.error(message);
  process.exitCode = errorCodes[code].exitCode;
}
