import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { nearestName } from "./nearest-name.ts";
import {
  address,
  duration,
  integer,
  list,
  oneOf,
  optionalText,
  parseAddress,
  port,
  printAddress,
  text,
  toggle,
} from "./setting-types.ts";
import { type Environment, readSettings } from "./settings.ts";

const table = {
  listenHost: text({ description: "Address to listen on", default: "127.0.0.1" }, "ADDRESS"),
  adminPort: port({ description: "Port of health and metrics", default: 5441 }),
  retries: integer({ description: "Attempts", min: 0, max: 9, default: 3 }),
  settle: duration({ description: "Time to settle", minMs: 1000, maxMs: 3_600_000, default: 30_000 }),
  logFormat: oneOf(["json", "text"], { description: "Form of log lines", default: "json" }),
  managerAddress: address({ description: "Where the manager is", default: { host: "m", port: 8071 } }),
  exemptNamespaces: list({ description: "Namespaces left alone", default: ["kube-system"] }),
  dryRun: toggle({ description: "Change nothing", default: false }),
  podName: text({ description: "Name of the pod", env: "POD_NAME" }, "NAME"),
  zone: optionalText({ description: "Zone" }),
} as const;

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ctrlmesh-settings-"));
});
after(() => rm(folder, { recursive: true }));

function read(argv: readonly string[], env: Environment = { POD_NAME: "p-0" }) {
  return readSettings({ command: "ctrlmesh proxy", about: "Runs it.", table, argv, env });
}

async function settingsOf(argv: readonly string[], env?: Environment) {
  const result = await read(argv, env);
  assert.equal(result.kind, "settings");
  return result.kind === "settings" ? result.settings : assert.fail();
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

test("settings: defaults fill what nobody gave", async () => {
  const settings = await settingsOf([]);
  assert.equal(settings.listenHost, "127.0.0.1");
  assert.equal(settings.settle, 30_000);
  assert.deepEqual(settings.managerAddress, { host: "m", port: 8071 });
  assert.equal(settings.zone, undefined);
});

test("settings: a flag wins over the environment, this over the file, this over the default", async () => {
  const config = await file(
    "layers.yaml",
    "adminPort: 1\nretries: 1\nsettle: 1s\nexemptNamespaces: [a, b]\n",
  );
  const settings = await settingsOf(["--config", config, "--admin-port=3"], {
    POD_NAME: "p-0",
    CTRLMESH_ADMIN_PORT: "2",
    CTRLMESH_RETRIES: "2",
    CTRLMESH_ZONE: "",
  });
  assert.equal(settings.adminPort, 3);
  assert.equal(settings.retries, 2);
  assert.equal(settings.settle, 1000);
  assert.deepEqual(settings.exemptNamespaces, ["a", "b"]);
  assert.equal(settings.logFormat, "json");
  assert.equal(settings.zone, undefined, "an empty variable counts as not set");
});

test("settings: both forms of a flag, switches without a value, and lists given twice", async () => {
  const settings = await settingsOf([
    "--listen-host",
    "::1",
    "--dry-run",
    "--exempt-namespaces=a,b",
    "--exempt-namespaces",
    "c",
    "--settle=1m30s",
    "--manager-address",
    "[fd00::1]:8071",
  ]);
  assert.equal(settings.listenHost, "::1");
  assert.equal(settings.dryRun, true);
  assert.deepEqual(settings.exemptNamespaces, ["a", "b", "c"]);
  assert.equal(settings.settle, 90_000);
  assert.deepEqual(settings.managerAddress, { host: "fd00::1", port: 8071 });
});

interface BadInput {
  readonly title: string;
  readonly argv?: readonly string[];
  readonly env?: Environment;
  readonly config?: readonly [name: string, content: string];
  readonly code: ErrorCode;
  readonly message: RegExp;
}

const badInputs: readonly BadInput[] = [
  {
    title: "an unknown flag with a near name",
    argv: ["--listen-hots=x"],
    code: "INVALID_FLAG",
    message: /^--listen-hots: no such flag; did you mean --listen-host\?$/,
  },
  {
    title: "an unknown flag with no near name",
    argv: ["--frobnicate"],
    code: "INVALID_FLAG",
    message: /^--frobnicate: no such flag; see --help/,
  },
  {
    title: "a flag without its value",
    argv: ["--listen-host"],
    code: "INVALID_FLAG",
    message: /^--listen-host: the value is missing; write --listen-host=VALUE$/,
  },
  {
    title: "a flag in the place of a value",
    argv: ["--listen-host", "--dry-run"],
    code: "INVALID_FLAG",
    message: /^--listen-host: the value is missing/,
  },
  {
    title: "a flag given twice",
    argv: ["--retries=1", "--retries=2"],
    code: "INVALID_FLAG",
    message: /^--retries: given twice, with "1" and "2"; give it once$/,
  },
  {
    title: "a word that is no flag",
    argv: ["start"],
    code: "INVALID_FLAG",
    message: /^ctrlmesh proxy: "start" is no flag/,
  },
  {
    title: "a port out of range",
    argv: ["--admin-port=70000"],
    code: "INVALID_FLAG",
    message: /^--admin-port: "70000" is not allowed; give a whole number from 0 to 65535$/,
  },
  {
    title: "a number with a fraction",
    argv: ["--retries=1.5"],
    code: "INVALID_FLAG",
    message: /^--retries: "1\.5" is not allowed; give a whole number from 0 to 9$/,
  },
  {
    title: "a duration without a unit",
    argv: ["--settle=30"],
    code: "INVALID_FLAG",
    message: /^--settle: "30" is not allowed; give a duration from 1s to 1h, such as/,
  },
  {
    title: "a word that is not among the choices",
    argv: ["--log-format=xml"],
    code: "INVALID_FLAG",
    message: /^--log-format: "xml" is not allowed; give one of json, text$/,
  },
  {
    title: "an address without a port",
    argv: ["--manager-address=ctrlmesh-manager"],
    code: "INVALID_FLAG",
    message: /^--manager-address: "ctrlmesh-manager" is not allowed; give HOST:PORT/,
  },
  {
    title: "a switch with a value of its own",
    argv: ["--dry-run=maybe"],
    code: "INVALID_FLAG",
    message: /^--dry-run: "maybe" is not allowed; give true or false$/,
  },
  {
    title: "a list with an empty word",
    argv: ["--exempt-namespaces=a,,b"],
    code: "INVALID_FLAG",
    message: /^--exempt-namespaces: "a,,b" is not allowed; give words separated by single commas$/,
  },
  {
    title: "a control character in a text",
    argv: ["--listen-host=a\nb"],
    code: "INVALID_FLAG",
    message: /^--listen-host: "a\\nb" is not allowed/,
  },
  {
    title: "a required setting that nobody gave",
    env: {},
    code: "INVALID_FLAG",
    message: /^--pod-name: a value is needed and none was given; give the flag or set POD_NAME$/,
  },
  {
    title: "a bad environment variable",
    env: { POD_NAME: "p", CTRLMESH_ADMIN_PORT: "http" },
    code: "INVALID_SETTING",
    message: /^CTRLMESH_ADMIN_PORT: "http" is not allowed; give a whole number/,
  },
  {
    title: "a config file that is not there",
    argv: ["--config=/nonexistent/ctrlmesh.yaml"],
    code: "INVALID_SETTING",
    message: /^\/nonexistent\/ctrlmesh\.yaml: the configuration file cannot be read: ENOENT/,
  },
  {
    title: "a config file with broken YAML",
    config: ["broken.yaml", "adminPort: [1\n"],
    code: "INVALID_SETTING",
    message: /broken\.yaml: the configuration file is malformed/,
  },
  {
    title: "a config file with broken JSON",
    config: ["broken.json", "{"],
    code: "INVALID_SETTING",
    message: /broken\.json: the configuration file is malformed/,
  },
  {
    title: "a config file that is a list",
    config: ["list.yaml", "- adminPort: 1\n"],
    code: "INVALID_SETTING",
    message: /list\.yaml: the file is not a mapping of settings/,
  },
  {
    title: "a config file with an unknown key",
    config: ["unknown.yaml", "adminport: 1\n"],
    code: "INVALID_SETTING",
    message: /unknown\.yaml: adminport: no such setting; did you mean adminPort\?$/,
  },
  {
    title: "a config file with a nested value",
    config: ["nested.yaml", "adminPort:\n  value: 1\n"],
    code: "INVALID_SETTING",
    message: /nested\.yaml: adminPort: neither a plain value nor a list/,
  },
  {
    title: "a config file with a value of the wrong kind",
    config: ["kind.yaml", "adminPort: many\n"],
    code: "INVALID_SETTING",
    message: /kind\.yaml: adminPort: "many" is not allowed; give a whole number/,
  },
  {
    title: "a config file with a key of every object",
    config: ["prototype.yaml", "constructor: 1\n"],
    code: "INVALID_SETTING",
    message: /prototype\.yaml: constructor: no such setting/,
  },
];

for (const bad of badInputs) {
  test(`settings: ${bad.title} is refused with the place, the value and a hint`, async () => {
    const config = bad.config === undefined ? [] : ["--config", await file(...bad.config)];
    await assert.rejects(read([...config, ...(bad.argv ?? [])], bad.env), (error) => {
      assert.ok(error instanceof CtrlmeshError);
      assert.equal(error.code, bad.code);
      assert.match(error.message, bad.message);
      return true;
    });
  });
}

test("settings: --help names every flag, variable and default, even beside a wrong flag", async () => {
  const result = await read(["--nonsense", "--help"]);
  assert.equal(result.kind, "help");
  const help = result.kind === "help" ? result.text : "";
  assert.match(help, /^Usage: ctrlmesh proxy \[flags\]/);
  assert.match(
    help,
    /--listen-host ADDRESS\n {6}Address to listen on \(env CTRLMESH_LISTEN_HOST, default 127\.0\.0\.1\)\./,
  );
  assert.match(help, /--pod-name NAME\n {6}Name of the pod \(env POD_NAME, required\)\./);
  assert.match(help, /default 30s/);
  assert.match(help, /default m:8071/);
  assert.match(help, /--dry-run\n/);
});

test("settings: an address that is printed parses to itself", () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, number) => {
      assert.deepEqual(parseAddress(printAddress({ host: name, port: number })), {
        host: name,
        port: number,
      });
    }),
  );
});

test("nearest name: within two edits, the closest wins; farther ones are no suggestion", () => {
  assert.equal(nearestName("log-levl", ["log-level", "log-format"]), "log-level");
  assert.equal(nearestName("abc", ["xyz"]), undefined);
});

const explainTable = {
  subject: text({ description: "Object to explain", positional: true }, "KIND/NAME"),
  namespace: optionalText({ description: "Its namespace", short: "n" }, "NAME"),
  watch: toggle({ description: "Go on", short: "w", default: false }),
} as const;

function explain(argv: readonly string[], env: Environment = {}) {
  return readSettings({ command: "ctrlmesh explain", about: "Tells.", table: explainTable, argv, env });
}

test("settings: letters, in each of their forms, and a word without a flag", async () => {
  const forms = [["-n", "demo"], ["-ndemo"], ["-n=demo"], ["--namespace", "demo"]];
  for (const form of forms) {
    for (const argv of [
      [...form, "-w", "pods/a"],
      ["pods/a", "-w", ...form],
    ]) {
      assert.deepEqual(await explain(argv), {
        kind: "settings",
        settings: { subject: "pods/a", namespace: "demo", watch: true },
      });
    }
  }
});

test("settings: a word too many, one too few, and a letter that nobody knows", async () => {
  await assert.rejects(
    explain(["pods/a", "pods/b"]),
    /^CtrlmeshError: ctrlmesh explain: "pods\/b" is no flag/,
  );
  await assert.rejects(
    explain([], { CTRLMESH_SUBJECT: "pods/a" }),
    /^CtrlmeshError: KIND\/NAME: a value is needed/,
  );
  await assert.rejects(explain(["--subject=pods/a"]), /^CtrlmeshError: --subject: no such flag; see --help/);
  await assert.rejects(explain(["pods/a", "-x"]), /^CtrlmeshError: ctrlmesh explain: "-x" is no flag/);
  await assert.rejects(explain(["pods/a", "-n"]), /^CtrlmeshError: --namespace: the value is missing/);
});

test("settings: the help text shows letters and words", async () => {
  const read = await explain(["-h"]);
  assert.match(read.kind === "help" ? read.text : "", /^Usage: ctrlmesh explain KIND\/NAME \[flags\]\n/);
  assert.match(read.kind === "help" ? read.text : "", /\n {2}-n, --namespace NAME\n/);
});
