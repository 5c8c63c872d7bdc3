import type { BadResource } from "./bad-resource.ts";

const state = (status: string): string => `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: ManagerState
metadata: {name: bad}
status: ${status}`;
const mesh = (kind: string, fields: string): string => `
apiVersion: dcp.hiro.io/v1
kind: ${kind}
metadata: {name: bad, namespace: default}
${fields}`;
const identity = "spec: {identity: {publicKey: key, endpoints: []}}";

export const badManagerStates: readonly BadResource[] = [
  {
    title: "a replica without address",
    yaml: state("{endpoints: [{name: a, leader: true}]}"),
    where: "status.endpoints[0].podIP",
    message: "is required",
  },
  {
    title: "a leader that is a text",
    yaml: state("{endpoints: [{name: a, podIP: 10.0.0.1, leader: 'yes'}]}"),
    where: "status.endpoints[0].leader",
    message: 'expected true or false, found "yes"',
  },
  {
    title: "one replica twice",
    yaml: state(
      "{endpoints: [{name: a, podIP: 10.0.0.1, leader: true}, {name: a, podIP: 10.0.0.2, leader: true}]}",
    ),
    where: "status.endpoints[1]",
    message: "has the name of an entry before it",
  },
  {
    title: "a port that does not exist",
    yaml: state("{ports: {grpcLeaderElectionPort: 80710}}"),
    where: "status.ports.grpcLeaderElectionPort",
    message: "use 0 to 65535",
  },
  {
    title: "a time that is none",
    yaml: state("{updateTimestamp: yesterday}"),
    where: "status.updateTimestamp",
    message: "write it as 2024-01-31T12:00:00Z",
  },
];

export const badMeshPeers: readonly BadResource[] = [
  {
    title: "a peer without identity",
    yaml: mesh("MeshPeer", "spec: {}"),
    where: "spec.identity",
    message: "is required",
  },
  {
    title: "an empty public key",
    yaml: mesh("MeshPeer", "spec: {identity: {publicKey: '', endpoints: []}}"),
    where: "spec.identity.publicKey",
    message: "must not be empty",
  },
  {
    title: "endpoints that are a text",
    yaml: mesh("MeshPeer", "spec: {identity: {publicKey: key, endpoints: 'a:9102'}}"),
    where: "spec.identity.endpoints",
    message: "expected a list",
  },
  {
    title: "an unknown state",
    yaml: mesh("MeshPeer", `${identity}\nstatus: {status: Fine}`),
    where: "status.status",
    message: "use Ready, NotReady, Unknown or Unavailable",
  },
  {
    title: "an instance without zone",
    yaml: mesh(
      "MeshPeer",
      `${identity}\nstatus: {status: Ready, instance: {start_time: '2024-01-01T00:00:00Z'}}`,
    ),
    where: "status.instance.zone",
    message: "is required",
  },
];

export const badAnyApplications: readonly BadResource[] = [
  {
    title: "a missing number of zones",
    yaml: mesh("AnyApplication", "spec: {source: {}}"),
    where: "spec.zones",
    message: "is required",
  },
  {
    title: "half a zone",
    yaml: mesh("AnyApplication", "spec: {zones: 1.5, source: {}}"),
    where: "spec.zones",
    message: "expected a whole number, found 1.5",
  },
  {
    title: "a Helm source without chart",
    yaml: mesh("AnyApplication", "spec: {zones: 1, source: {helm: {repository: r, version: v, namespace: n}}}"),
    where: "spec.source.helm.chart",
    message: "is required",
  },
  {
    title: "an owner without epoch",
    yaml: mesh("AnyApplication", "spec: {zones: 1, source: {}}\nstatus: {ownership: {owner: a, state: New}}"),
    where: "status.ownership.epoch",
    message: "is required",
  },
  {
    title: "a placement that is a text",
    yaml: mesh(
      "AnyApplication",
      "spec: {zones: 1, source: {}}\nstatus: {ownership: {owner: a, state: New, epoch: 1, placements: [zone1]}}",
    ),
    where: "status.ownership.placements[0]",
    message: 'expected an object, found "zone1"',
  },
];
