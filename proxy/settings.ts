import { CtrlmeshError } from "#api/errors";
import { environment, proxyPaths, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import { logFormats, logLevels } from "#runtime/log";
import {
  duration,
  type HostAndPort,
  list,
  oneOf,
  optionalAddress,
  optionalText,
  parseAddress,
  port,
  text,
} from "#runtime/setting-types";
import { type Environment, readSettings, type Settings } from "#runtime/settings";

/** Settings of `ctrlmesh proxy`. Injection sets the variables; a user seldom needs a flag. */
export const proxySettings = {
  listenHost: text(
    { description: "address of the listener for the operator; stays on loopback", default: "127.0.0.1" },
    "ADDRESS",
  ),
  apiserverPort: port({
    description: "port of the listener for the operator",
    default: ports.proxyApiserver,
  }),
  alsoListen: list(
    { description: "further addresses of that listener, such as [::1]:5443; on loopback too", default: [] },
    "HOST:PORT",
  ),
  adminHost: optionalText(
    { description: "address of health and metrics, which the kubelet asks; default: the pod's address" },
    "ADDRESS",
  ),
  adminPort: port({ description: "port of health and metrics", default: ports.proxyAdmin }),
  managerAddress: optionalAddress({
    description: `control stream of the manager; default: ${wellKnown.managerService}.<manager namespace>.svc:${ports.managerControl}`,
  }),
  managerNamespace: text(
    {
      description: "namespace of the manager, part of the name in its certificate",
      default: wellKnown.defaultManagerNamespace,
    },
    "NAME",
  ),
  caFile: text(
    {
      description: "PEM with the mesh CA that signed the manager's certificate",
      default: `${proxyPaths.controlTokenDirectory}/ca.crt`,
    },
    "FILE",
  ),
  controlTokenFile: text(
    {
      description: "token with which the control stream is opened",
      default: `${proxyPaths.controlTokenDirectory}/token`,
    },
    "FILE",
  ),
  stateDir: text(
    {
      description: "directory of the last snapshot and the serving certificate, on the pod's own volume",
      default: proxyPaths.stateDirectory,
    },
    "DIRECTORY",
  ),
  upstream: optionalAddress({
    description: `the API server; default: $${environment.kubernetesServiceHost}:$${environment.kubernetesServicePort}`,
  }),
  upstreamCaFile: text(
    {
      description: "PEM with the CA of the API server",
      default: `${proxyPaths.serviceAccountDirectory}/ca.crt`,
    },
    "FILE",
  ),
  serviceAccountTokenFile: text(
    {
      description: "token of the pod's service account, for reading resource versions",
      default: `${proxyPaths.serviceAccountDirectory}/token`,
    },
    "FILE",
  ),
  http2: oneOf(["auto", "off"], {
    description: "auto: the operator is offered HTTP/2 while the API server speaks it; off: HTTP/1.1 only",
    default: "auto",
  }),
  webhookTarget: optionalAddress({
    description: "the operator's admission webhook in this pod; turns its sharding on",
  }),
  webhookCertDir: optionalText(
    { description: "directory with tls.crt and tls.key of the operator's webhook" },
    "DIRECTORY",
  ),
  webhookListenHost: optionalText(
    { description: "address of the listeners for reviews; default: the pod's address" },
    "ADDRESS",
  ),
  webhookPort: port({
    description: "port that takes reviews from the API server; the webhook's Service leads here",
    default: ports.proxyWebhook,
  }),
  webhookPeerPort: port({
    description: "port that takes reviews from other pods of the group; the same in all of them",
    default: ports.proxyWebhookPeer,
  }),
  drainTimeout: duration({
    description: "time that running requests get at the end; must fit into the pod's grace period",
    minMs: 0,
    maxMs: 3_600_000,
    default: 20_000,
  }),
  logLevel: oneOf(logLevels, { description: "lowest level that is logged", default: "info" }),
  logFormat: oneOf(logFormats, { description: "form of log lines", default: "json" }),
  podName: text({ description: "name of this pod", env: environment.podName }, "NAME"),
  podNamespace: text({ description: "namespace of this pod", env: environment.podNamespace }, "NAME"),
  podUid: text({ description: "UID of this pod", env: environment.podUid }, "UID"),
  podIp: text(
    { description: "address of this pod", env: environment.podIp, default: "127.0.0.1" },
    "ADDRESS",
  ),
} as const;

/** The settings with what follows from others filled in. */
export interface ProxySettings extends Omit<Settings<typeof proxySettings>, "alsoListen" | WebhookSetting> {
  readonly alsoListen: readonly HostAndPort[];
  readonly adminHost: string;
  readonly managerAddress: HostAndPort;
  readonly upstream: HostAndPort;
  /** Undefined: the operator has no webhook that is sharded. */
  readonly webhook: WebhookSettings | undefined;
}

/** Where reviews come in, from whom, and who answers them in this pod. */
export interface WebhookSettings {
  readonly listen: HostAndPort;
  readonly peers: HostAndPort;
  readonly peerPort: number;
  readonly operator: HostAndPort;
  readonly certificateDirectory: string;
}

type WebhookSetting = Extract<keyof typeof proxySettings, `webhook${string}`>;

/**
 * Settings of this process, or the text of `--help`.
 *
 * @throws INVALID_FLAG, INVALID_SETTING
 */
export async function readProxySettings(
  argv: readonly string[],
  env: Environment,
): Promise<{ readonly settings: ProxySettings } | { readonly help: string }> {
  const result = await readSettings({
    command: "ctrlmesh proxy",
    about: "The data plane: stands between an operator and the API server and shows it its shard only.",
    table: proxySettings,
    argv,
    env,
  });
  if (result.kind === "help") return { help: result.text };
  const { settings } = result;
  return {
    settings: {
      ...settings,
      alsoListen: settings.alsoListen.map(listenAddress),
      adminHost: settings.adminHost ?? settings.podIp,
      managerAddress: settings.managerAddress ?? {
        host: managerServerName(settings.managerNamespace),
        port: ports.managerControl,
      },
      upstream: settings.upstream ?? upstreamOf(env),
      webhook: webhookOf(settings),
    },
  };
}

/** The name in the certificate of every replica of the manager, whatever address it is dialled by. */
export function managerServerName(managerNamespace: string): string {
  return `${wellKnown.managerService}.${managerNamespace}.svc`;
}

function listenAddress(given: string): HostAndPort {
  const address = parseAddress(given);
  if (address !== undefined) return address;
  throw new CtrlmeshError("INVALID_SETTING", {
    what: `${JSON.stringify(given)} is not allowed`,
    where: "--also-listen, CTRLMESH_ALSO_LISTEN",
    hint: "give HOST:PORT with a port from 1 to 65535, IPv6 in brackets",
  });
}

function webhookOf(
  given: Pick<Settings<typeof proxySettings>, WebhookSetting | "podIp">,
): WebhookSettings | undefined {
  if (given.webhookTarget === undefined) return undefined;
  if (given.webhookCertDir === undefined) {
    throw new CtrlmeshError("INVALID_SETTING", {
      what: "the certificate of the operator's webhook is not known",
      where: "--webhook-cert-dir, CTRLMESH_WEBHOOK_CERT_DIR",
      hint: "give it together with --webhook-target",
    });
  }
  const host = given.webhookListenHost ?? given.podIp;
  return {
    listen: { host, port: given.webhookPort },
    peers: { host, port: given.webhookPeerPort },
    peerPort: given.webhookPeerPort,
    operator: given.webhookTarget,
    certificateDirectory: given.webhookCertDir,
  };
}

function upstreamOf(env: Environment): HostAndPort {
  const host = env[environment.kubernetesServiceHost] ?? "";
  const number = env[environment.kubernetesServicePort] ?? "443";
  const address = parseAddress(`${host.includes(":") ? `[${host}]` : host}:${number}`);
  if (address !== undefined) return address;
  throw new CtrlmeshError("INVALID_SETTING", {
    what: host === "" ? "the API server's address is not known" : `"${host}" and "${number}" are no address`,
    where: `${environment.kubernetesServiceHost}, ${environment.kubernetesServicePort}`,
    hint: "run inside a pod, or give --upstream=HOST:PORT",
  });
}
