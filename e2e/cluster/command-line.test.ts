import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { parseCommand } from "./command-line.ts";

test("cluster command: flags of start are read", () => {
  const line = "start --version 1.34.4 --feature-gate A=true --feature-gate=B=false --api-servers 2";
  const command = parseCommand([...line.split(" "), "--background", "-o", "json"]);
  assert.deepEqual(command, {
    name: "start",
    versions: ["1.34.4"],
    featureGates: { A: true, B: false },
    apiServers: 2,
    background: true,
    pid: undefined,
    output: "json",
  });
});

test("cluster command: help wins over a command and over its absence", () => {
  for (const line of [["--help"], ["-h", "build"], ["list", "--help"]])
    assert.equal(parseCommand(line).name, "help");
});

test("cluster command: what is wrong is named", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["", /no command/],
    ["boot", /no command "boot"/],
    ["start now", /"now" is too much/],
    ["start --version v1.36.3", /"v1\.36\.3" is not like 1\.36\.3/],
    ["start --version 1.36.3 --version 1.34.4", /one --version/],
    ["start --feature-gate WatchList", /"WatchList" is no feature gate/],
    ["start --feature-gate WatchList=yes", /NAME=true/],
    ["start --api-servers 0", /--api-servers "0"/],
    ["stop --pid x", /--pid "x"/],
    ["start --pid 4", /--pid is a flag of stop/],
    ["start --frobnicate", /--frobnicate/],
    ["list --version 1.36.3", /list takes no --version/],
    ["build --background", /--background is a flag of start/],
    ["list -o yaml", /text or json/],
  ];
  for (const [line, said] of wrong)
    assert.throws(
      () => parseCommand(line.split(" ").filter((word) => word !== "")),
      (error) => error instanceof CtrlmeshError && error.code === "INVALID_FLAG" && said.test(error.message),
      line,
    );
});
