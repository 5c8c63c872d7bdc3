import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { parseCommand } from "./command-line.ts";

test("cluster command: flags of start are read", () => {
  const line = "start --version 1.34.4 --feature-gate A=true --feature-gate=B=false --api-servers 2";
  const command = parseCommand([...line.split(" "), "--background", "-o", "json"]);
  assert.deepEqual(command, {
    name: "start",
    cluster: "",
    archive: "",
    kubectlArgs: [],
    versions: ["1.34.4"],
    featureGates: { A: true, B: false },
    apiserverArgs: [],
    apiServers: 2,
    background: true,
    nodes: false,
    audit: false,
    all: false,
    pid: undefined,
    output: "json",
  });
});

test("cluster command: a name makes start and stop commands of a cluster", () => {
  const names = ["start a", "stop a", "start", "stop"].map((line) => parseCommand(line.split(" ")).name);
  assert.deepEqual(names, ["start NAME", "stop NAME", "start", "stop"]);
  assert.equal(parseCommand(["stop", "a"]).cluster, "a");
});

test("cluster command: flags and words of commands of clusters are read", () => {
  const up = parseCommand(
    "up --audit --apiserver-arg=--v=4 --feature-gate A=true --version 1.34.4".split(" "),
  );
  assert.deepEqual(
    [up.cluster, up.audit, up.apiserverArgs, up.featureGates, up.versions],
    ["default", true, ["--v=4"], { A: true }, ["1.34.4"]],
  );
  const { cluster, archive } = parseCommand(["load", "a", "image.tar"]);
  assert.deepEqual([cluster, archive], ["a", "image.tar"]);
  assert.equal(parseCommand(["down", "--all"]).all, true);
});

test("cluster command: what follows the two dashes is kubectl's, flags included", () => {
  const { cluster, kubectlArgs } = parseCommand([
    "kubectl",
    "a",
    "--",
    "get",
    "pods",
    "-o",
    "json",
    "--",
    "x",
  ]);
  assert.equal(cluster, "a");
  assert.deepEqual(kubectlArgs, ["get", "pods", "-o", "json", "--", "x"]);
});

test("cluster command: help wins over a command and over its absence", () => {
  for (const line of [["--help"], ["-h", "build"], ["list", "--help"]])
    assert.equal(parseCommand(line).name, "help");
});

test("cluster command: what is wrong is named", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["", /no command/],
    ["boot", /no command "boot"/],
    ["start now later", /"later" is too much/],
    ["list now", /"now" is too much/],
    ["load", /needs the name of a cluster/],
    ["load a", /needs a file/],
    ["kubectl a get pods", /too much/],
    ["kubectl a", /after "--"/],
    ["up a -- get", /nothing after "--"/],
    ["down", /name of a cluster or --all/],
    ["down a --all", /name of a cluster or --all/],
    ["start a --version 1.36.3", /start NAME takes no --version/],
    ["up --background", /up takes no --background/],
    ["start --version v1.36.3", /"v1\.36\.3" is not like 1\.36\.3/],
    ["start --version 1.36.3 --version 1.34.4", /one --version/],
    ["start --feature-gate WatchList", /"WatchList" is no feature gate/],
    ["start --feature-gate WatchList=yes", /NAME=true/],
    ["start --api-servers 0", /--api-servers "0"/],
    ["stop --pid x", /--pid "x"/],
    ["start --pid 4", /start takes no --pid/],
    ["start --frobnicate", /--frobnicate/],
    ["list --version 1.36.3", /list takes no --version/],
    ["build --background", /build takes no --background/],
    ["list -o yaml", /text or json/],
  ];
  for (const [line, said] of wrong)
    assert.throws(
      () => parseCommand(line.split(" ").filter((word) => word !== "")),
      (error) => error instanceof CtrlmeshError && error.code === "INVALID_FLAG" && said.test(error.message),
      line,
    );
});
