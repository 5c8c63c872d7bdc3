import { runSuite } from "./suite.ts";

runSuite("real");
