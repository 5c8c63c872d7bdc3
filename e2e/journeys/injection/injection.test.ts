import { after, before } from "node:test";
import { testCases } from "./cases.ts";
import { testModes } from "./modes.ts";
import { InjectionStage } from "./stage.ts";

/**
 * Injection as its users have it: a whole cluster with a real kubelet, our image, and clients that know nothing of
 * us. What is new here stands beside what is old in `older-kubernetes.test.ts`, so that each pair is seen once.
 */

let stage: InjectionStage;
const opened = (): InjectionStage => stage;

before(async () => {
  stage = await InjectionStage.open();
});

after(async () => {
  await stage?.[Symbol.asyncDispose]();
});

testModes({ nativeSidecars: true, iptablesBackend: "nft" }, opened);
testCases(opened);
