import { after, before } from "node:test";
import { testCases } from "./cases.ts";
import { testModes } from "./modes.ts";
import { InjectionStage } from "./stage.ts";

/**
 * Injection as its users have it: a whole cluster with a real kubelet, our image, and clients that know nothing of
 * us. The native sidecar comes first and last, so that the manager is replaced twice under running pods.
 */

let stage: InjectionStage;
const opened = (): InjectionStage => stage;

before(async () => {
  stage = await InjectionStage.open();
});

after(async () => {
  await stage?.[Symbol.asyncDispose]();
});

testModes("native", opened);
testModes("plain", opened);
testCases(opened);
