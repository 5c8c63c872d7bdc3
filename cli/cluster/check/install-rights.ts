import { type AccessQuestion, mayWe, questionText } from "./access.ts";
import type { Check } from "./check.ts";

const cluster = (group: string, resource: string): AccessQuestion => ({ verb: "create", group, resource });

/** What an installation creates. */
const needed: readonly AccessQuestion[] = [
  cluster("apiextensions.k8s.io", "customresourcedefinitions"),
  cluster("", "namespaces"),
  cluster("rbac.authorization.k8s.io", "clusterroles"),
  cluster("rbac.authorization.k8s.io", "clusterrolebindings"),
  cluster("", "serviceaccounts"),
  cluster("", "services"),
  cluster("apps", "deployments"),
];

/** Whether the user may install. */
export const installRightsCheck: Check = {
  name: "install-rights",
  phases: ["before"],
  run: async ({ client, signal }) => {
    const answers = await Promise.all(
      needed.map(async (question) => ({ question, allowed: await mayWe(client, question, { signal }) })),
    );
    const missing = answers.filter(({ allowed }) => !allowed).map(({ question }) => questionText(question));
    return {
      summary: `${needed.length - missing.length} of ${needed.length} rights to install`,
      findings:
        missing.length === 0
          ? []
          : [
              {
                level: "error",
                code: "InstallRightsMissing",
                where: "your user",
                what: `it may not ${missing.join(", ")}`,
                remedy: "install as an administrator of the cluster, or ask one for these rights",
              },
            ],
    };
  },
};
