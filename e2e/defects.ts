/**
 * The numbered defects of the original (its specification, section 7.2), each with what we do about it. A phrase
 * says the effect that a user would meet.
 */

const onClusters =
  "On real clusters: image, Helm chart, injection in every mode, unmodified public operators, CLI";
const roots = "Root configs, auto sharding, canary, rollout by shard, leases, live re-sharding";
const policies = "Traffic policies: rate limits, circuit breaking, interception, fault injection";
const heldToReality =
  "Held to the real thing: real kube-apiserver, a Go operator, differential tests, fuzzing, benchmark";

/** Titles of changes that are still to come. */
export const laterChanges: ReadonlySet<string> = new Set([onClusters, roots, policies, heldToReality]);

export type Standing =
  /** Files with a test, or a row of a table that a test runs, whose name starts with the number. */
  | { readonly test: readonly string[] }
  /** Title of the change that brings the part which could have it. */
  | { readonly later: string }
  | { readonly deliberatelyNot: string };

export interface Defect {
  readonly effect: string;
  readonly standing: Standing;
}

const tested = (effect: string, ...test: readonly string[]): Defect => ({ effect, standing: { test } });
const later = (effect: string, title: string): Defect => ({ effect, standing: { later: title } });
const deliberatelyNot = (effect: string, reason: string): Defect => ({
  effect,
  standing: { deliberatelyNot: reason },
});

export const defects: Readonly<Record<number, Defect>> = {
  1: tested(
    "any pod reads and sets another pod's rules",
    "proxy/control-client.test.ts",
    "manager/control/server.test.ts",
    "manager/control/authenticate.test.ts",
  ),
  2: tested("the operator's own webhook is redirected to nowhere", "webhook/inject.test.ts"),
  3: tested(
    "a changed shard loses all its pods at once, and objects have two owners meanwhile",
    "manager/sharding/release.test.ts",
  ),
  4: later("a canary by namespace and by bucket leaves objects to no shard", roots),
  5: later("a root without canary ends the manager, again and again", roots),
  6: later("shard counts that do not divide 32 make idle and uneven shards", roots),
  7: later("two roots of one name in two namespaces delete each other's children", roots),
  8: later("a changed lock, webhook or selector of a root never reaches its children", roots),
  9: tested(
    "pods are deleted because their config seems missing for a moment",
    "manager/sharding/release.test.ts",
  ),
  10: tested(
    "of several pods that must go, one a pass is deleted by accident of an inverted check",
    "manager/sharding/release.test.ts",
  ),
  11: tested(
    "deletecollection and writes reach other shards' objects",
    "proxy/apiserver/pipeline.test.ts",
    "proxy/apiserver/shard-selector.test.ts",
  ),
  12: tested(
    "selectors with != or < end in a 500, repeated parameters get lost",
    "proxy/apiserver/shard-selector.test.ts",
  ),
  13: tested(
    "an empty list of limits ends the proxy",
    "api/testdata/bad-sharding-configs.ts",
    "proxy/snapshot.test.ts",
  ),
  14: tested("one pod that is away keeps the rules from all others", "manager/control/server.test.ts"),
  15: tested("stored rules are appended to, or lost with the container", "proxy/snapshot-file.test.ts"),
  16: later("leadership is reported late and never taken back", roots),
  17: later("locks are renamed for some verbs only", roots),
  18: tested("a flag is added to containers that do not know it", "webhook/inject.test.ts"),
  19: tested("moving a mount doubles the one behind it", "webhook/inject.test.ts"),
  20: later("a Normal limit without recoverPolicy drops the request", policies),
  21: tested(
    "a fault without match crashes its receiver and then counts as accepted",
    "api/testdata/bad-policies.ts",
  ),
  22: deliberatelyNot(
    "asking for a rule that does not exist crashes the proxy",
    "no such question exists: proxies get whole snapshots and answer with ack or nack",
  ),
  23: later("a deleted allow list goes on refusing", policies),
  24: later("spec.disabled of a FaultInjection does nothing", policies),
  25: later("headers of a fault's match are not compared", policies),
  26: tested(
    "a percent or delay that is none becomes an empty rule",
    "api/testdata/bad-policies.ts",
    "webhook/server.test.ts",
  ),
  27: later("a percent of 0 means always", policies),
  28: later("rules that change under load end the proxy", policies),
  29: later("rules deleted behind a restart of the manager stay in force", policies),
  30: later("a narrower pattern switches off a wider breaker", policies),
  31: later("rules of one pattern count in random order", policies),
  32: tested(
    "a proxy ignores SIGTERM until it is killed",
    "proxy/apiserver/drain.test.ts",
    "proxy/main.test.ts",
  ),
  33: tested(
    "one loopback connection for each watch, since HTTP/2 is not spoken",
    "proxy/apiserver/http2/connection.test.ts",
  ),
  34: tested("each request writes log lines", "proxy/apiserver/quiet.test.ts"),
  35: tested("anagrams and similar names share a bucket", "api/bucket.test.ts"),
  36: later("each request walks all rules of all policies", policies),
  37: tested("the service account's token is sent to whoever answers", "proxy/apiserver/server.test.ts"),
  38: later("anybody in reach can use the egress proxy", policies),
  39: tested("exec goes out with the rights of an administrator", "proxy/apiserver/caller-identity.test.ts"),
  40: tested("a given port of the manager is ignored", "proxy/settings.test.ts"),
  41: tested("nothing is measured", "proxy/admin.test.ts"),
  42: tested("shipped configurations name what does not exist", "webhook/configuration.test.ts"),
  43: tested("the CA's key lies about, certificates are looked at by chance", "manager/certificates.test.ts"),
  44: later("the rollout by shard never starts", roots),
  45: tested(
    "objects from before are labelled once, unpaged, deaf to a changed list of kinds",
    "manager/sharding/healing.test.ts",
  ),
  46: tested("the webhook labels system namespaces that the backfill leaves alone", "webhook/stamp.test.ts"),
  47: tested(
    "without the manager no Pod or ConfigMap can be written anywhere",
    "webhook/configuration.test.ts",
    "webhook/server.test.ts",
  ),
  48: tested("a pod with two configs or none hangs without a word", "webhook/opt-in.test.ts"),
  49: tested(
    "a proxy waits for the leader for ever, or all come back in step",
    "proxy/control-client.test.ts",
    "proxy/main.test.ts",
  ),
  50: tested(
    "everybody, also without credentials, may read where the managers are",
    "e2e/conformance/rbac.test.ts",
  ),
  51: tested("ManagerState is written at each look", "manager/manager-state.test.ts"),
  52: later("observedGeneration of breakers and faults stands still", policies),
  53: tested("a client that builds its own configuration goes round the proxy", "webhook/inject.test.ts"),
  54: tested(
    "overlaps and gaps between shards are not seen",
    "api/coverage.test.ts",
    "webhook/server.test.ts",
  ),
  55: tested("the proxy's container is privileged", "webhook/inject.test.ts"),
  56: tested("pods need one more label to be seen by the manager", "manager/sharding/healing.test.ts"),
  57: tested("unlabelled objects are seen by no shard, without a word", "manager/snapshot/view.test.ts"),
  58: tested("each container of the pod gets the operator's rights", "webhook/inject.test.ts"),
  59: tested("profiling answers on every interface", "proxy/admin.test.ts"),
  60: later("a StatefulSet with fewer or more pods than its shards is not told of", roots),
  61: tested("status says nothing of pods, connections or readiness", "manager/sharding/controller.test.ts"),
  62: deliberatelyNot(
    "the TPROXY mode of the init script fails",
    "there is no TPROXY mode: redirecting needs less and does the same here",
  ),
  63: deliberatelyNot(
    "the API server evaluates each shard's selector over all objects",
    "server-side sharded lists are alpha and off by default, and a server without them sends everything; labels work on every version",
  ),
  64: tested("the proxy asks for half a core and a gibibyte", "webhook/inject.test.ts"),
  65: tested(
    "the manager may do everything with pods, secrets and workloads of the cluster",
    "e2e/conformance/rbac.test.ts",
  ),
  66: tested("the webhook's port is open on each node", "webhook/configuration.test.ts"),
  67: later("without the init image injection by iptables silently leaves it out", onClusters),
  68: tested("the operator takes a made-up namespace for its own", "manager/ca-bundle.test.ts"),
  69: later("a canary of no pods keeps every shard from being made", roots),
};
