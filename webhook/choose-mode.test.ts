import assert from "node:assert/strict";
import { test } from "node:test";
import { annotations, labels } from "#api/names";
import { type ChosenMode, chooseMode } from "./choose-mode.ts";
import type { Pod } from "./pod.ts";

type Texts = Readonly<Record<string, string>>;
const mode = annotations.proxyMode;
const byName = annotations.proxyByName;
const iptables = labels.enableIptables;

const podWith = (own: Texts, podLabels: Texts): Pod => ({
  metadata: { name: "op-0", annotations: own, labels: podLabels },
  spec: { containers: [{ name: "manager" }] },
});

const chosen: readonly [title: string, own: Texts, podLabels: Texts, namespace: Texts, ChosenMode][] = [
  ["nothing is said", {}, {}, {}, { mode: "env", byName: false }],
  ["the namespace says it", {}, {}, { [mode]: "kubeconfig" }, { mode: "kubeconfig", byName: false }],
  ["the pod wins", { [mode]: "env" }, {}, { [mode]: "kubeconfig" }, { mode: "env", byName: false }],
  ["the pod asks for iptables", { [mode]: "iptables" }, {}, {}, { mode: "iptables", byName: false }],
  ["the namespace does", {}, {}, { [mode]: "iptables" }, { mode: "iptables", byName: false }],
  ["the original's label counts", {}, { [iptables]: "true" }, {}, { mode: "iptables", byName: false }],
  ["false is none", {}, { [iptables]: "false" }, {}, { mode: "env", byName: false }],
  [
    "the label wins over the namespace",
    {},
    { [iptables]: "true" },
    { [mode]: "kubeconfig" },
    { mode: "iptables", byName: false },
  ],
  [
    "the pod's annotation wins over its label",
    { [mode]: "env" },
    { [iptables]: "true" },
    {},
    { mode: "env", byName: false },
  ],
  ["by name, the namespace", {}, {}, { [byName]: "true" }, { mode: "env", byName: true }],
  ["by name, the pod wins", { [byName]: "false" }, {}, { [byName]: "true" }, { mode: "env", byName: false }],
];
for (const [title, own, podLabels, namespace, wanted] of chosen) {
  test(`mode: ${title}`, () => {
    assert.deepEqual(chooseMode(podWith(own, podLabels), namespace), wanted);
  });
}

const refused: readonly [own: Texts, podLabels: Texts, namespace: Texts, message: RegExp][] = [
  [{ [mode]: "x" }, {}, {}, /^metadata\.annotations.*no mode "x"; the modes are env, kubeconfig, iptables/],
  [{}, {}, { [mode]: "Env" }, /^namespace metadata\.annotations.*no mode "Env"/],
  [{ [mode]: "" }, {}, {}, /no mode ""/],
  [{}, { [iptables]: "yes" }, {}, /^metadata\.labels.*enable-iptables.*"yes" is not allowed; write "true"/],
  [{ [byName]: "1" }, {}, {}, /^metadata\.annotations.*proxy-by-name.*"1" is not allowed/],
  [{}, {}, { [byName]: "no" }, /^namespace metadata\.annotations.*"no" is not allowed/],
];
for (const [own, podLabels, namespace, message] of refused) {
  test(`mode: refused with ${message}`, () => {
    assert.throws(() => chooseMode(podWith(own, podLabels), namespace), {
      code: "INJECTION_REFUSED",
      message,
    });
  });
}
