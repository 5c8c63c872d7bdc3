import { stringify } from "yaml";

export interface KubeconfigFacts {
  readonly server: string;
  readonly caPem: string;
  readonly user:
    | { readonly token: string }
    | { readonly certificatePem: string; readonly privateKeyPem: string };
  readonly namespace?: string;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A kubeconfig with one context; it holds the credentials themselves. */
export function printKubeconfig({ server, caPem, user, namespace = "default" }: KubeconfigFacts): string {
  const name = "devcluster";
  const credentials =
    "token" in user
      ? { token: user.token }
      : {
          "client-certificate-data": base64(user.certificatePem),
          "client-key-data": base64(user.privateKeyPem),
        };
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": base64(caPem) } }],
    users: [{ name, user: credentials }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    "current-context": name,
  });
}
