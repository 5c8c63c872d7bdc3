import assert from "node:assert/strict";
import { test } from "node:test";
import { wrongInBytes, wrongInList } from "./contents.ts";
import { type KubernetesObject, kinds, lastingName, objectOf, type View } from "./scene.ts";

const view = (...teams: string[]): View => ({
  teams: { configmaps: teams, secrets: teams, serviceaccounts: teams },
  fenced: [],
});

const lasting = (...teams: string[]): KubernetesObject[] =>
  teams.flatMap((team) =>
    Array.from({ length: kinds.configmaps.lasting }, (_, index) =>
      objectOf("ConfigMap", team, lastingName(team, index), 10),
    ),
  );

const wrong = (objects: KubernetesObject[], ...views: View[]) => wrongInList("configmaps", objects, views);

test("list judge: the whole of one view holds, with what comes and goes in it", () => {
  const passing = objectOf("ConfigMap", "t1", "passing-3", 10);
  assert.equal(wrong([...lasting("t0", "t1"), passing], view("t0", "t1")), undefined);
  assert.equal(wrong(lasting("t1"), view("t0"), view("t1")), undefined, "either view was possible");
});

test("list judge: an object of another team fails, one without its label too", () => {
  const passing = objectOf("ConfigMap", "t2", "passing-3", 10);
  assert.match(wrong([...lasting("t0"), passing], view("t0")) ?? "", /^t2 under t0$/);
  const bare = { ...passing, metadata: { name: "passing-3" } };
  assert.match(wrong([...lasting("t0"), bare], view("t0")) ?? "", /passing-3/);
});

test("list judge: half of one view and half of the other fail", () => {
  assert.notEqual(wrong(lasting("t0", "t1"), view("t0"), view("t1")), undefined);
  assert.match(wrong(lasting("t0"), view("t0", "t1")) ?? "", /^no lasting-t1-0 under t0 t1$/);
  assert.notEqual(wrong([], view("t0")), undefined);
  assert.equal(wrong(lasting("t0")), "no view was possible");
});

test("list judge: an encoded answer is held to its names", () => {
  const bytes = (...teams: string[]) =>
    Buffer.from(teams.map((team) => `k8s\0${lastingName(team, 0)}`).join());
  assert.equal(wrongInBytes("secrets", bytes("t0", "t1"), [view("t1", "t0")]), undefined);
  assert.equal(wrongInBytes("secrets", bytes("t0", "t2"), [view("t0", "t1")]), "teams t0 t2");
});
