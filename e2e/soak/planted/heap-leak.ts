import { onRequest } from "./on-request.ts";

/** Loaded into the proxy (`--preload`), it keeps 1 KB for each request, to show that the judge finds it. */

const bytesPerRequest = 1024;
const bytesPerNumber = 8;
const kept: number[][] = [];

onRequest(() =>
  kept.push(Array.from({ length: bytesPerRequest / bytesPerNumber }, (_, index) => index + 0.5)),
);
