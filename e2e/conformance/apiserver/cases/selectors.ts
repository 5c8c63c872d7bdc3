import assert from "node:assert/strict";
import { type ConformanceCase, conforms, namesOf, rows } from "../case.ts";
import type { Api } from "../client.ts";

/** Secrets a to d, with labels in every constellation that a selector can tell apart. */
async function labelled(api: Api): Promise<string> {
  const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
  const labels = {
    a: { tier: "web", size: "3" },
    b: { tier: "db" },
    c: {},
    d: { tier: "web", "x.io/y": "" },
  };
  for (const [name, each] of Object.entries(labels))
    await api.made(path, { metadata: { name, labels: each } });
  return path;
}

/** Raw query and the names that it selects. */
const selections: readonly (readonly [id: string, query: string, names: string])[] = [
  ["equal", "labelSelector=tier%3Dweb", "a d"],
  ["double-equal", "labelSelector=tier%3D%3Dweb", "a d"],
  ["not-equal-includes-absent", "labelSelector=tier!%3Dweb", "b c"],
  ["in", "labelSelector=tier%20in%20(web%2Cdb)", "a b d"],
  ["in-with-empty-value", "labelSelector=x.io%2Fy%20in%20(%2C)", "d"],
  ["notin-includes-absent", "labelSelector=tier%20notin%20(web)", "b c"],
  ["exists", "labelSelector=tier", "a b d"],
  ["absent", "labelSelector=!tier", "c"],
  ["greater", "labelSelector=size%3E2", "a"],
  ["greater-is-strict", "labelSelector=size%3E3", ""],
  ["less", "labelSelector=size%3C4", "a"],
  ["and", "labelSelector=tier%3Dweb%2Csize%3D3", "a"],
  ["and-absent", "labelSelector=tier%2C!size", "b d"],
  ["empty-value", "labelSelector=x.io%2Fy%3D", "d"],
  ["spaces", "labelSelector=%20tier%20%3D%20web%20", "a d"],
  ["plus-is-space", "labelSelector=tier+in+(web)", "a d"],
  ["empty-selects-all", "labelSelector=", "a b c d"],
  ["repeated-first-decides", "labelSelector=tier%3Dweb&labelSelector=size%3D3", "a d"],
  ["repeated-empty-first", "labelSelector=&labelSelector=size%3D3", "a b c d"],
  ["encoded-parameter-name", "%6cabelSelector=tier%3Ddb", "b"],
  ["unencoded", "labelSelector=tier=db", "b"],
  ["parameter-name-is-case-sensitive", "LabelSelector=tier%3Dweb", "a b c d"],
  ["broken-encoding-does-not-count", "labelSelector=tier%3D%zz", "a b c d"],
  ["semicolon-does-not-count", "labelSelector=tier%3Dweb;x%3D1", "a b c d"],
  ["broken-first-second-decides", "labelSelector=%zz&labelSelector=tier%3Ddb", "b"],
  ["field-name", "fieldSelector=metadata.name%3Da", "a"],
  ["field-double-equal", "fieldSelector=metadata.name%3D%3Da", "a"],
  ["field-not-equal", "fieldSelector=metadata.name!%3Da", "b c d"],
  ["field-other-namespace", "fieldSelector=metadata.namespace%3Dother", ""],
  ["field-of-kind", "fieldSelector=type%3DOpaque", "a b c d"],
  ["field-of-kind-not-equal", "fieldSelector=type!%3DOpaque", ""],
  ["field-and", "fieldSelector=metadata.name!%3Da%2Cmetadata.name!%3Db", "c d"],
  ["field-empty-terms", "fieldSelector=metadata.name%3Da%2C%2C", "a"],
  ["field-escaped-comma", "fieldSelector=metadata.name%3Da%5C%2Cb", ""],
  ["field-repeated-first-decides", "fieldSelector=metadata.name%3Da&fieldSelector=metadata.name%3Db", "a"],
  ["field-and-label", "fieldSelector=metadata.name!%3Da&labelSelector=tier%3Dweb", "d"],
];

const secrets = "/api/v1/namespaces/default/secrets";

/** What Go's parser says about each is not stated: the embedded API server says it in words of its own. */
const badLabels: readonly (readonly [id: string, selector: string])[] = [
  ["trailing-comma", "tier=web,"],
  ["comma-only", ","],
  ["two-equals", "a=b=c"],
  ["value-with-space", "tier=a b"],
  ["no-key", "=x"],
  ["set-without-parentheses", "tier in web"],
  ["set-not-closed", "tier in (web"],
  ["absent-with-value", "!tier=web"],
  ["key-begins-with-dash", "-x=1"],
  ["key-with-two-slashes", "a/b/c=1"],
  ["key-outside-ascii", "Ünü=1"],
  ["value-outside-ascii", "tier=wéb"],
  ["value-too-long", `x=${"v".repeat(64)}`],
  ["greater-than-word", "tier>x"],
  ["unknown-operator", "size gt 2"],
];

const badFields: readonly (readonly [id: string, path: string, message: string])[] = [
  [
    "field-without-operator",
    `${secrets}?fieldSelector=metadata.name`,
    "invalid selector: 'metadata.name'; can't understand 'metadata.name'",
  ],
  [
    "field-unknown-secret",
    `${secrets}?fieldSelector=spec.nodeName%3Dx`,
    "field label not supported: spec.nodeName",
  ],
  ["field-unknown-pod", "/api/v1/pods?fieldSelector=bad%3Dx", "field label not supported: bad"],
  ["field-unknown-event", "/api/v1/events?fieldSelector=bad%3Dx", "field label not supported: bad"],
  ["field-unknown-namespace", "/api/v1/namespaces?fieldSelector=bad%3Dx", "field label not supported: bad"],
  [
    "field-namespace-of-cluster-scoped",
    "/api/v1/namespaces?fieldSelector=metadata.namespace%3Dx",
    "field label not supported: metadata.namespace",
  ],
  [
    "field-unknown-configmap",
    "/api/v1/configmaps?fieldSelector=bad%3Dx",
    '"bad" is not a known field selector: only "metadata.name", "metadata.namespace"',
  ],
  [
    "field-unknown-lease",
    "/apis/coordination.k8s.io/v1/leases?fieldSelector=bad%3Dx",
    '"bad" is not a known field selector: only "metadata.name", "metadata.namespace"',
  ],
  [
    "field-unknown-statefulset",
    "/apis/apps/v1/statefulsets?fieldSelector=bad%3Dx",
    '"bad" is not a known field selector: only "metadata.name", "metadata.namespace"',
  ],
  [
    "field-unescaped-equals",
    `${secrets}?fieldSelector=metadata.name%3Da%3Db`,
    "invalid field selector: unescaped character in value: 61",
  ],
  [
    "field-bad-escape",
    `${secrets}?fieldSelector=metadata.name%3Da%5Cx`,
    "invalid field selector: invalid escape sequence: \\x",
  ],
  [
    "field-of-core-event-in-its-group",
    "/apis/events.k8s.io/v1/events?fieldSelector=involvedObject.kind%3DPod",
    "field label not supported: involvedObject.kind",
  ],
];

const knownFields: readonly (readonly [resource: string, fields: readonly string[]])[] = [
  [
    "/api/v1/pods",
    [
      "metadata.name",
      "metadata.namespace",
      "spec.nodeName",
      "spec.restartPolicy",
      "spec.schedulerName",
      "spec.serviceAccountName",
      "spec.hostNetwork",
      "status.phase",
      "status.podIP",
      "status.podIPs",
      "status.nominatedNodeName",
    ],
  ],
  [
    "/api/v1/events",
    [
      "involvedObject.kind",
      "involvedObject.namespace",
      "involvedObject.name",
      "involvedObject.uid",
      "involvedObject.apiVersion",
      "involvedObject.resourceVersion",
      "involvedObject.fieldPath",
      "reason",
      "reportingComponent",
      "source",
      "type",
    ],
  ],
  [
    "/apis/events.k8s.io/v1/events",
    ["regarding.kind", "regarding.name", "reason", "reportingController", "type"],
  ],
  ["/api/v1/namespaces", ["metadata.name", "status.phase"]],
  ["/api/v1/nodes", ["metadata.name", "spec.unschedulable"]],
  ["/apis/coordination.k8s.io/v1/leases", ["metadata.name", "metadata.namespace"]],
];

export const selectorCases: readonly ConformanceCase[] = [
  ...selections.map(([id, query, names]) =>
    conforms(`selector-${id}`, async (api) => {
      const path = await labelled(api);
      assert.equal(namesOf(await api.get(`${path}?${query}`)).join(" "), names);
    }),
  ),
  ...rows(
    badLabels.map(([id, selector]) => ({
      id: `selector-refused-${id}`,
      ask: ["GET", `${secrets}?labelSelector=${encodeURIComponent(selector)}`],
      status: 400,
      reason: "BadRequest",
    })),
  ),
  ...rows(
    badFields.map(([id, path, message]) => ({
      id: `selector-refused-${id}`,
      ask: ["GET", path],
      status: 400,
      reason: "BadRequest",
      message,
    })),
  ),
  ...knownFields.map(([path, fields]) =>
    conforms(`selector-fields-of ${path}`, async (api) => {
      for (const field of fields) {
        const answer = await api.get(`${path}?fieldSelector=${field}%3Dx`);
        assert.equal(answer.status, 200, `${field}: ${answer.text}`);
      }
    }),
  ),
  ...rows([
    {
      id: "selector-refused-in-watch",
      ask: ["GET", `${secrets}?watch=1&labelSelector=a%3Db%3Dc`],
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "selector-refused-in-deletecollection",
      ask: ["DELETE", `${secrets}?labelSelector=a%3Db%3Dc`],
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "selector-refused-field-in-deletecollection",
      ask: ["DELETE", `${secrets}?fieldSelector=a%3Db`],
      status: 400,
      reason: "BadRequest",
      message: "field label not supported: a",
    },
  ]),
];
