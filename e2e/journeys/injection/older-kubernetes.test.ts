import { after, before } from "node:test";
import { olderKubernetesVersion } from "../../cluster/versions.ts";
import { testModes } from "./modes.ts";
import { InjectionStage } from "./stage.ts";

/** A cluster whose API server has no MutatingAdmissionPolicy, pods without native sidecars, the older packet filter. */

let stage: InjectionStage;

before(async () => {
  stage = await InjectionStage.open(olderKubernetesVersion);
});

after(async () => {
  await stage?.[Symbol.asyncDispose]();
});

testModes({ nativeSidecars: false, iptablesBackend: "legacy" }, () => stage);
