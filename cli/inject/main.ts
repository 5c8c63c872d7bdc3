import { CtrlmeshError } from "#api/errors";
import { annotations, podSecurityEnforce, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import {
  type HostAndPort,
  list,
  oneOf,
  optionalText,
  parseAddress,
  text,
  toggle,
} from "#runtime/setting-types";
import { type Environment, type Settings, settingsOrHelp } from "#runtime/settings";
import { chooseMode } from "#webhook/choose-mode";
import { inject } from "#webhook/inject";
import {
  defaultProxyResources,
  type InjectionSettings,
  injectionModes,
  iptablesBackends,
} from "#webhook/injection-request";
import { readManifests } from "../manifests.ts";
import { type Fields, fieldsOf } from "./fields.ts";
import { at } from "./place.ts";
import { asJson, asYaml, type Rendered } from "./render.ts";
import { type Workload, workloadOf } from "./workload.ts";
import { type Wishes, World } from "./world.ts";

export const injectSettings = {
  file: list({ description: "manifests; - is standard input; may be repeated", short: "f" }, "FILE"),
  output: oneOf(["yaml", "json"], { description: "form of the result", default: "yaml", short: "o" }),
  namespace: text(
    { description: "namespace of objects that name none", default: "default", short: "n" },
    "NAME",
  ),
  shard: optionalText(
    { description: "name of the ShardingConfig; default: the one in the manifests that selects the pod" },
    "NAME",
  ),
  mode: oneOf(["namespace", ...injectionModes], {
    description: "mode of pods that name none; default: that of the Namespace in the manifests, else env",
    default: "namespace",
  }),
  byName: toggle({ description: "as if the namespace had the annotation proxy-by-name", default: false }),
  nativeSidecars: toggle({
    description: "the proxy as a native sidecar; off: as the first container",
    default: true,
  }),
  image: text({ description: "image of the proxy", default: "ctrlmesh" }, "IMAGE"),
  imagePullPolicy: oneOf(["IfNotPresent", "Always", "Never"], {
    description: "pull policy of that image",
    default: "IfNotPresent",
  }),
  managerNamespace: text(
    { description: "namespace of the manager", default: wellKnown.defaultManagerNamespace },
    "NAME",
  ),
  apiServer: list(
    { description: "addresses of the Service kubernetes, for mode iptables", default: [] },
    "IP:PORT",
  ),
  iptablesBackend: oneOf(iptablesBackends, {
    description: "packet filter of mode iptables, as the manager is set",
    default: "nft",
  }),
} as const;

type InjectSettings = Settings<typeof injectSettings>;

/** Where the texts of a command go; standard output and error but for tests. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const processStreams: Streams = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

/**
 * `ctrlmesh inject`: shows what injection would make of manifests, without a cluster. It takes the namespace for
 * opted in. Objects that make no pods pass as they are; notes and warnings go to standard error.
 */
export async function runInject(
  argv: readonly string[],
  env: Environment,
  { out, err }: Streams = processStreams,
): Promise<number> {
  const settings = await settingsOrHelp(
    {
      command: "ctrlmesh inject",
      about: "Shows what injection makes of manifests, without a cluster.",
      table: injectSettings,
      argv,
      env,
    },
    out,
  );
  if (settings === undefined) return 0;
  const manifests = await readManifests(settings.file);
  const world = new World(manifests, wishesOf(settings));
  const apiServer = settings.apiServer.map(apiServerAddress);
  const injectOne: Rewrite = (workload, place) => {
    const { object, notes } = injected(workload, world, settings, apiServer);
    for (const note of notes) err(`${place}: ${note}\n`);
    return object;
  };
  const documents = manifests.map((manifest): Rendered => {
    const value = rewritten(manifest.value, manifest.place, injectOne);
    return { source: manifest.source, value: value ?? manifest.value, isChanged: value !== undefined };
  });
  out(settings.output === "json" ? asJson(documents) : asYaml(documents));
  return 0;
}

type Rewrite = (workload: Workload, place: string) => Fields | undefined;

/** The object with its workload, or those of a List, rewritten; undefined when nothing changes. */
function rewritten(object: Fields, place: string, rewrite: Rewrite): Fields | undefined {
  if (object.kind === "List" && Array.isArray(object.items)) {
    const items = object.items.map(
      (item: unknown, index) => rewritten(fieldsOf(item), `${place}, item ${index + 1}`, rewrite) ?? item,
    );
    const isSame = items.every((item, index) => item === Reflect.get(Object(object.items), index));
    return isSame ? undefined : { ...object, items };
  }
  const workload = at(place, () => workloadOf(object));
  if (workload === undefined) return undefined;
  const subject = `${place} (${workload.kind} ${workload.name})`;
  return at(subject, () => rewrite(workload, subject));
}

interface Injected {
  /** Undefined when it stays as it is. */
  readonly object: Fields | undefined;
  readonly notes: readonly string[];
}

function injected(
  workload: Workload,
  world: World,
  settings: InjectSettings,
  apiServer: readonly HostAndPort[],
): Injected {
  const namespace = world.namespace(workload.namespace);
  const shard = world.shardOf(workload.pod, namespace);
  if (shard === undefined) {
    const note = "left as it is: no ShardingConfig selects its pods, or a label says that they get no proxy";
    return { object: undefined, notes: [note] };
  }
  const webhook = world.webhookOf(shard, namespace.name);
  const { pod, warnings } = inject(workload.pod, {
    namespace: namespace.name,
    shard,
    ...(webhook === undefined ? {} : { webhook }),
    ...chooseMode(workload.pod, namespace.annotations),
    nativeSidecars: settings.nativeSidecars,
    apiServer,
    podSecurity: namespace.labels[podSecurityEnforce],
    settings: injectionSettings(settings),
  });
  const isFirstOfMany = workload.kind === "StatefulSet" && settings.shard === undefined;
  const firstOfMany = `shown as in shard ${shard}, that of its first pod; the others may belong to other shards`;
  return {
    object: workload.withPod(pod),
    notes: [...(isFirstOfMany ? [firstOfMany] : []), ...warnings.map((warning) => `warning: ${warning}`)],
  };
}

/** Flags win over what the Namespace of the manifests says, as the pod's own annotations win over both. */
function wishesOf({ namespace, shard, mode, byName }: InjectSettings): Wishes {
  return {
    namespace,
    shard,
    annotations: {
      ...(mode === "namespace" ? {} : { [annotations.proxyMode]: mode }),
      ...(byName ? { [annotations.proxyByName]: "true" } : {}),
    },
  };
}

function injectionSettings(settings: InjectSettings): InjectionSettings {
  const { image, imagePullPolicy, managerNamespace, iptablesBackend } = settings;
  return {
    image,
    imagePullPolicy,
    resources: defaultProxyResources,
    managerAddress: `${wellKnown.managerService}.${managerNamespace}.svc:${ports.managerControl}`,
    managerNamespace,
    extraEnv: {},
    iptablesBackend,
  };
}

function apiServerAddress(given: string): HostAndPort {
  const address = parseAddress(given);
  if (address !== undefined) return address;
  throw new CtrlmeshError("INVALID_FLAG", {
    where: "--api-server",
    what: `${JSON.stringify(given)} is no IP:PORT`,
    hint: "give addresses such as 10.96.0.1:443",
  });
}
