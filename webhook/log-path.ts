import { isAbsolute } from "node:path";
import { annotations } from "#api/names";
import { annotationPath } from "./annotation.ts";
import { refusal } from "./injection-request.ts";
import { byMountPath, byName, withEntries } from "./keyed-list.ts";
import { isProxy } from "./our-containers.ts";
import type { Container, Pod } from "./pod.ts";

const sharedLogsVolume = "app-shared-logs";

/**
 * Mounts one volume at the log path in every container, the proxy included wherever it stands: the one that some
 * container has there, else an emptyDir.
 *
 * @throws INJECTION_REFUSED
 */
export function shareLogs(pod: Pod): Pod {
  const key = annotations.logPath;
  const mountPath = pod.metadata.annotations?.[key];
  if (mountPath === undefined) return pod;
  if (!isAbsolute(mountPath) || mountPath.includes(":") || mountPath === "/") {
    throw refusal(
      annotationPath(key),
      `"${mountPath}" is no absolute path below /`,
      "write a path such as /var/log/app",
    );
  }
  const { initContainers = [] } = pod.spec;
  const mounted = [...pod.spec.containers, ...initContainers.filter(isProxy)]
    .flatMap(({ volumeMounts = [] }) => volumeMounts)
    .filter((mount) => mount.mountPath === mountPath);
  const names = [...new Set(mounted.map(({ name }) => name))];
  if (names.length > 1) {
    throw refusal(
      annotationPath(key),
      `containers mount different volumes there: ${names.join(", ")}`,
      "mount one volume",
    );
  }
  const name = names[0] ?? sharedLogsVolume;
  const added = names.length === 0 ? [{ name, emptyDir: {} }] : [];
  const sharing = (container: Container): Container => ({
    ...container,
    volumeMounts: container.volumeMounts?.some((mount) => mount.name === name)
      ? container.volumeMounts
      : withEntries(container.volumeMounts, [{ name, mountPath }], byMountPath),
  });
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.map(sharing),
      ...(pod.spec.initContainers === undefined
        ? {}
        : { initContainers: initContainers.map((each) => (isProxy(each) ? sharing(each) : each)) }),
      volumes: withEntries(pod.spec.volumes, added, byName),
    },
  };
}
