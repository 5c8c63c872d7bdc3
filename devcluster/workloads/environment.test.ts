import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentOf, expand, fieldOf, type KeyReader, withPodLoopback } from "./environment.ts";
import type { Container, Pod } from "./pod-spec.ts";

const pod: Pod = {
  metadata: { name: "op-0", namespace: "demo", uid: "u1", labels: { app: "op" } },
  spec: { containers: [] },
};
const noKeys: KeyReader = async () => undefined;
const container = (env: Container["env"]): Container => ({ name: "c", image: "i", env: env ?? [] });

test("environmentOf: entries expand those before them, and the pod's loopback stands for 127.0.0.1", async () => {
  const env = [
    { name: "HOST", value: "127.0.0.1" },
    { name: "URL", value: "https://$(HOST):5443/$(UNKNOWN)/$$(HOST)" },
    { name: "NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  ];
  assert.deepEqual(await environmentOf(container(env), pod, "127.9.9.9", { BASE: "1" }, noKeys), {
    BASE: "1",
    HOST: "127.9.9.9",
    URL: "https://127.9.9.9:5443/$(UNKNOWN)/$(HOST)",
    NAME: "op-0",
  });
});

test("environmentOf: a missing key is an error unless it is optional", async () => {
  const ref = { name: "settings", key: "mode" };
  const strict = container([{ name: "MODE", valueFrom: { configMapKeyRef: ref } }]);
  await assert.rejects(environmentOf(strict, pod, "", {}, noKeys), /configmaps settings has no key mode/);
  const optional = container([{ name: "MODE", valueFrom: { configMapKeyRef: { ...ref, optional: true } } }]);
  assert.deepEqual(await environmentOf(optional, pod, "", {}, noKeys), {});
});

test("fieldOf: labels by key, and an unknown path is refused", () => {
  assert.equal(fieldOf("metadata.labels['app']", pod, ""), "op");
  assert.throws(() => fieldOf("spec.unknown", pod, ""), /not known/);
});

test("expand and withPodLoopback: leave other text alone", () => {
  assert.equal(expand("a $b $(b", { b: "1" }), "a $b $(b");
  assert.equal(withPodLoopback("127.0.0.10 localhost", "127.1.1.1"), "127.0.0.10 localhost");
});
