import type { BadResource } from "./bad-resource.ts";

const head = (kind: string): string => `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: ${kind}
metadata: {name: bad, namespace: default}
`;
const limit = (fields: string): string =>
  `${head("CircuitBreaker")}spec: {selector: {}, rateLimitings: [{name: a, ${fields}}]}`;
const bucket = "bucket: {burst: 1, interval: 1s, limit: 1}";
const intercept = (fields: string): string =>
  `${head("CircuitBreaker")}spec: {selector: {}, trafficInterceptRules: [{name: a, ${fields}}]}`;
const fault = (fields: string): string =>
  `${head("FaultInjection")}spec: {selector: {matchLabels: {app: op}}, httpFault: [{name: a, ${fields}}]}`;
const match = "match: {resources: [{}]}";

export const badCircuitBreakers: readonly BadResource[] = [
  {
    title: "a missing selector",
    yaml: `${head("CircuitBreaker")}spec: {}`,
    where: "spec.selector",
    message: "is required",
  },
  {
    title: "an unknown trigger policy",
    yaml: limit(`${bucket}, triggerPolicy: Sometimes`),
    where: "spec.rateLimitings[0].triggerPolicy",
    message: "use Normal, LimiterOnly, ForceOpened or ForceClosed",
  },
  {
    title: "an interval without unit",
    yaml: limit("bucket: {burst: 1, interval: '10', limit: 1}, triggerPolicy: Normal"),
    where: "spec.rateLimitings[0].bucket.interval",
    message: "write a duration such as",
  },
  {
    title: "an interval of no time, which would be an unlimited rate,",
    yaml: limit("bucket: {burst: 1, interval: 0s, limit: 1}, triggerPolicy: Normal"),
    where: "spec.rateLimitings[0].bucket.interval",
    message: "must be longer than 0",
  },
  {
    title: "a negative limit",
    yaml: limit("bucket: {burst: 1, interval: 1s, limit: -1}, triggerPolicy: Normal"),
    where: "spec.rateLimitings[0].bucket.limit",
    message: "use 0 to 2147483647",
  },
  {
    title: "a recover policy as a text",
    yaml: limit(`${bucket}, triggerPolicy: Normal, recoverPolicy: SleepingWindow`),
    where: "spec.rateLimitings[0].recoverPolicy",
    message: 'expected an object, found "SleepingWindow"',
  },
  {
    title: "D20: a sleeping window without size",
    yaml: limit(`${bucket}, triggerPolicy: Normal, recoverPolicy: {type: SleepingWindow}`),
    where: "spec.rateLimitings[0].recoverPolicy.sleepingWindowSize",
    message: "needs sleepingWindowSize",
  },
  {
    title: "two rules of one name",
    yaml: `${head("CircuitBreaker")}spec: {selector: {}, rateLimitings: [{name: a, ${bucket}, triggerPolicy: Normal}, {name: a, ${bucket}, triggerPolicy: Normal}]}`,
    where: "spec.rateLimitings[1]",
    message: "has the name of an entry before it",
  },
  {
    title: "a resource rule without verbs",
    yaml: limit(
      `${bucket}, triggerPolicy: Normal, resourceRules: [{apiGroups: [], resources: [], namespaces: []}]`,
    ),
    where: "spec.rateLimitings[0].resourceRules[0].verbs",
    message: "is required",
  },
  {
    title: "a URL without scheme",
    yaml: limit(`${bucket}, triggerPolicy: Normal, restRules: [{url: example.com, method: GET}]`),
    where: "spec.rateLimitings[0].restRules[0].url",
    message: "write scheme://host:port/path",
  },
  {
    title: "an unknown intercept type",
    yaml: intercept("interceptType: White, contentType: Normal, contents: [a], methods: [GET]"),
    where: "spec.trafficInterceptRules[0].interceptType",
    message: "use Whitelist or Blacklist",
  },
];

export const badFaultInjections: readonly BadResource[] = [
  {
    title: "D21: a fault without match",
    yaml: fault("abort: {httpStatus: 409, percent: '1'}"),
    where: "spec.httpFault[0]",
    message: "match is missing",
  },
  {
    title: "D26: a percent that is no number",
    yaml: fault(`${match}, abort: {httpStatus: 409, percent: half}`),
    where: "spec.httpFault[0].abort.percent",
    message: "write a number from 0 to 100 in quotes",
  },
  {
    title: "a percent over 100",
    yaml: fault(`${match}, abort: {httpStatus: 409, percent: '100.5'}`),
    where: "spec.httpFault[0].abort.percent",
    message: "write a number from 0 to 100 in quotes",
  },
  {
    title: "a percent without quotes",
    yaml: fault(`${match}, abort: {httpStatus: 409, percent: 25}`),
    where: "spec.httpFault[0].abort.percent",
    message: "expected a string, found 25",
  },
  {
    title: "D26: a delay without its length",
    yaml: fault(`${match}, delay: {percent: '1'}`),
    where: "spec.httpFault[0].delay.fixedDelay",
    message: "is required",
  },
  {
    title: "D26: a delay of an unknown unit",
    yaml: fault(`${match}, delay: {fixedDelay: 2 seconds, percent: '1'}`),
    where: "spec.httpFault[0].delay.fixedDelay",
    message: "write a duration such as",
  },
  {
    title: "a status that ends no request",
    yaml: fault(`${match}, abort: {httpStatus: 100, percent: '1'}`),
    where: "spec.httpFault[0].abort.httpStatus",
    message: "200 to 599",
  },
  {
    title: "match as a list",
    yaml: fault("match: [{resources: []}]"),
    where: "spec.httpFault[0].match",
    message: "expected an object, found a list",
  },
  {
    title: "a time of day that does not exist",
    yaml: fault(`${match}, effectiveTime: {startTime: '24:00:00', endTime: '25:00:00'}`),
    where: "spec.httpFault[0].effectiveTime.startTime",
    message: "write a time of day",
  },
  {
    title: "an eighth day of the week",
    yaml: fault(`${match}, effectiveTime: {daysOfWeek: [7]}`),
    where: "spec.httpFault[0].effectiveTime.daysOfWeek[0]",
    message: "use 0 to 6",
  },
];
