import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { hierarchies, isCgroupV1, makeCgroup, removeCgroup } from "./cgroups.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ctrlmesh-cgroups-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function version1(): void {
  for (const name of ["memory", "cpuset"]) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, "cgroup.procs"), "");
  }
  mkdirSync(join(root, "not-mounted"));
  writeFileSync(join(root, "cpuset", "cpuset.cpus"), "0-3\n");
  writeFileSync(join(root, "cpuset", "cpuset.mems"), "0\n");
}

test("control groups: version 1 has a hierarchy for each controller that is mounted", () => {
  version1();
  assert.equal(isCgroupV1(root), true);
  assert.deepEqual(hierarchies(root).sort(), [join(root, "cpuset"), join(root, "memory")]);
});

test("control groups: version 2 has one", () => {
  writeFileSync(join(root, "cgroup.controllers"), "memory\n");
  mkdirSync(join(root, "system.slice"));
  writeFileSync(join(root, "system.slice", "cgroup.procs"), "");
  assert.equal(isCgroupV1(root), false);
  assert.deepEqual(hierarchies(root), [root]);
});

test("control groups: a new one of version 2 is given all controllers", () => {
  writeFileSync(join(root, "cgroup.controllers"), "cpuset cpu memory pids\n");
  writeFileSync(join(root, "cgroup.procs"), "");
  makeCgroup("a", root);
  assert.equal(readFileSync(join(root, "cgroup.subtree_control"), "utf8"), "+cpuset +cpu +memory +pids");
  assert.equal(existsSync(join(root, "a")), true);
});

test("control groups: a new one of version 1 has its parent's processors and memory, and is made once", () => {
  version1();
  makeCgroup("a", root);
  makeCgroup("a", root);
  assert.equal(readFileSync(join(root, "cpuset", "a", "cpuset.cpus"), "utf8"), "0-3\n");
  assert.equal(readFileSync(join(root, "cpuset", "a", "cpuset.mems"), "utf8"), "0\n");
  assert.equal(existsSync(join(root, "memory", "a", "cpuset.cpus")), false);
});

test("control groups: a tree is removed from the bottom, one that is not there too; what is in use is told", () => {
  version1();
  makeCgroup("a", root);
  for (const file of ["cpuset.cpus", "cpuset.mems"]) rmSync(join(root, "cpuset", "a", file));
  mkdirSync(join(root, "memory", "a", "pods", "one"), { recursive: true });
  // The kernel refuses to remove a group with a task, as a file system does a folder with a file.
  writeFileSync(join(root, "memory", "a", "pods", "one", "task"), "");
  assert.equal(removeCgroup("a", root), false);
  assert.equal(existsSync(join(root, "cpuset", "a")), false);
  rmSync(join(root, "memory", "a", "pods", "one", "task"));
  assert.equal(removeCgroup("a", root), true);
  assert.equal(existsSync(join(root, "memory", "a")), false);
  assert.equal(removeCgroup("a", root), true);
});
