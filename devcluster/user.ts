/** Who sends a request: authentication.k8s.io UserInfo. */
export interface User {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export const anonymous: User = {
  username: "system:anonymous",
  uid: "",
  groups: ["system:unauthenticated"],
  extra: {},
};

/** The server's own writes: default service accounts, garbage collection. */
export const serverUser: User = {
  username: "system:apiserver",
  uid: "",
  groups: ["system:masters", "system:authenticated"],
  extra: {},
};

export const mastersGroup = "system:masters";
export const authenticatedGroup = "system:authenticated";

/** As AdmissionReview and TokenReview print it: empty parts are left out. */
export function printUser({ username, uid, groups, extra }: User): Record<string, unknown> {
  return {
    username,
    ...(uid === "" ? {} : { uid }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
