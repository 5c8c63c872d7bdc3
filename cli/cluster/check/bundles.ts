import type { KubernetesObject } from "#api/meta";
import { caBundleKeys, wellKnown } from "#api/names";
import { listAll } from "#kube/client/list-all";
import { certificatesOf } from "#manager/ca";
import { isOptedIn } from "#webhook/opt-in";
import { kinds } from "../kinds.ts";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";
import { readMeshCa } from "./mesh-ca.ts";
import { memberOf, readIfThere, textOf } from "./read.ts";

const rootCa = { name: "kube-root-ca.crt", key: "ca.crt" } as const;

/** The CA bundle in each opted-in namespace: there, and in step with both authorities. */
export const bundlesCheck: Check = {
  name: "ca-bundles",
  phases: ["after"],
  run: async (context) => {
    const { client, signal, settings } = context;
    const call = { signal };
    const meshCa = await readMeshCa(context);
    const { objects } = await listAll(client, kinds.namespaces, { metadataOnly: true }, call);
    const names = objects.filter(isUsed).map(({ metadata }) => metadata?.name ?? "");
    const findings = await Promise.all(
      [...new Set([...names, settings.namespace])].map(async (namespace) => {
        const [bundle, root] = await Promise.all([
          readIfThere(client, kinds.configMaps, { namespace, name: wellKnown.caBundleConfigMap }, call),
          readIfThere(client, kinds.configMaps, { namespace, name: rootCa.name }, call),
        ]);
        const clusterCa = certificatesOf(textOf(memberOf(root?.data, rootCa.key)) ?? "");
        return judgeBundle(namespace, bundle, { meshCa, clusterCa });
      }),
    );
    return { summary: `${names.length} opted-in namespaces`, findings: findings.flat() };
  },
};

function isUsed({ metadata = {} }: KubernetesObject): boolean {
  const { name = "", labels = {}, annotations = {}, deletionTimestamp } = metadata;
  return deletionTimestamp === undefined && name !== "" && isOptedIn({ labels, annotations });
}

function judgeBundle(
  namespace: string,
  bundle: KubernetesObject | undefined,
  { meshCa, clusterCa }: { readonly meshCa: readonly string[]; readonly clusterCa: readonly string[] },
): Finding[] {
  const where = `ConfigMap ${namespace}/${wellKnown.caBundleConfigMap}`;
  const remedy = "the manager writes it within a minute: see that one leads";
  if (bundle === undefined) {
    const what = "it is not there: injected pods of the namespace wait for it";
    return [{ level: "error", code: "BundleMissing", where, what, remedy }];
  }
  const trusted = new Set(certificatesOf(textOf(memberOf(bundle.data, caBundleKeys.all)) ?? ""));
  const absent = [
    ...(meshCa.every((pem) => trusted.has(pem)) ? [] : ["the mesh CA"]),
    ...(clusterCa.every((pem) => trusted.has(pem)) ? [] : ["the cluster's CA"]),
  ];
  if (absent.length === 0) return [];
  const what = `it lacks ${absent.join(" and ")} as it is now: operators of the namespace trust the wrong servers`;
  return [{ level: "error", code: "BundleStale", where, what, remedy }];
}
